"""What every page shares: who may open it, the frame around it, and only this person's rows."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from connectors.failures import Failure
from hub.models import Seller
from hub.people.activity import record
from hub.people.sight import places
from hub.tenancy import Permission, allows, may, visible
from monitoring.pages import sentences

T = TypeVar("T", bound=Model)
View = Callable[..., HttpResponseBase]
# In the session: the one seller that lists are narrowed to.
CHOSEN = "seller"


def _signed_in(view: View) -> View:
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not admin.site.has_permission(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        return view(request, *args, **kwargs)

    return inner


def page(view: View) -> View:
    """A page to look at."""
    return never_cache(require_safe(_signed_in(view)))


def part(view: View) -> View:
    """Something inside a page that the browser may keep."""
    return require_safe(_signed_in(view))


def form_page(view: View) -> View:
    """A page with a form that is sent to itself."""
    return never_cache(_signed_in(view))


def action(view: View) -> View:
    """Something that changes: by POST alone, with its CSRF token."""
    return never_cache(require_POST(_signed_in(view)))


def person(request: HttpRequest) -> User:
    """Who is signed in; `_signed_in` has seen to it that somebody is."""
    return cast(User, request.user)


def actor(request: HttpRequest) -> str:
    return person(request).get_username()


def seller_ids(request: HttpRequest) -> list[int]:
    """The chosen one of this person's sellers, or all of them; never another's, whatever the session says.

    Asked once per request. Plain ids let the database walk its index where a sub-query makes it sort.
    """
    own = [place.seller_id for place in places(request)]
    chosen = request.session.get(CHOSEN)
    return [chosen] if chosen in own else own


def mine(rows: QuerySet[T], request: HttpRequest, path: str = "seller") -> QuerySet[T]:
    """`hub.tenancy.visible` with this request's ids; `path` leads from the row to its seller."""
    return rows.filter(**{f"{path}_id__in": seller_ids(request)})


def one(rows: QuerySet[T], request: HttpRequest, pk: int, path: str = "seller") -> T:
    """This row, or 404 for everybody it does not belong to: a stranger does not learn that it exists."""
    return get_object_or_404(visible(rows, request.user, path), pk=pk)


def must_act(request: HttpRequest, seller: Seller, permission: Permission = Permission.WORK) -> None:
    if not may(request.user, seller, permission):
        raise PermissionDenied


def sellers_allowing(request: HttpRequest, permission: Permission = Permission.WORK) -> list[Seller]:
    """Of the sellers in view those for whom this person may do it; without asking the database again."""
    shown = seller_ids(request)
    return [place.seller for place in places(request) if place.seller_id in shown and allows(place, permission)]


def seller_to_set(request: HttpRequest) -> Seller:
    """The one named in the address; without a name the first whose settings this person may change."""
    wanted = request.GET.get("seller", "")
    writable = sellers_allowing(request, Permission.SETTINGS)
    found = next((one for one in writable if not wanted or str(one.pk) == wanted), None)
    if found is None:
        raise PermissionDenied
    return found


def log(
    request: HttpRequest,
    what: str,
    seller: Seller,
    subject: object = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """A line in the seller's log: this person did it, from this address. No secrets; `hub.people.activity.record`."""
    record(actor(request), what, seller, subject, before=before, after=after, request=request)


def sees(request: HttpRequest, permission: Permission, seller_id: int) -> bool:
    """Whether this person sees the buyer's data or money of this seller; without asking the database again."""
    return any(place.seller_id == seller_id and allows(place, permission) for place in places(request))


def sees_everywhere(request: HttpRequest, permission: Permission) -> bool:
    """In all sellers that lists show at the moment."""
    return all(sees(request, permission, seller_id) for seller_id in seller_ids(request))


def cover(order: Any) -> None:
    """Takes from an order in memory all that says who bought, but the name, the city and the state."""
    order.buyer = {"name": order.buyer.get("name", "")}
    for name in ("ship_to", "bill_to"):
        setattr(order, name, {part: value for part, value in getattr(order, name).items() if part in ("city", "state")})


def show(request: HttpRequest, template: str, title: Any, **context: Any) -> TemplateResponse:
    frame = {**admin.site.each_context(request), "title": title, **context}
    request.current_app = admin.site.name
    return TemplateResponse(request, f"monitoring/{template}", frame)


def back(request: HttpRequest, otherwise: str) -> HttpResponseRedirect:
    """To where the person came from (`next`), if that is one of our own pages."""
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return HttpResponseRedirect(target)
    return HttpResponseRedirect(otherwise)


def by_hand(request: HttpRequest) -> tuple[str, str]:
    """(reason, reference) of what a person says was handled by hand."""
    return request.POST.get("reason", "").strip()[:500], request.POST.get("reference", "").strip()[:80]


def carry_out(request: HttpRequest, deed: Callable[[], Any], done: Any) -> Any:
    """Does it and says so; a failure becomes its own sentence on the next page. Returns what the deed returned."""
    try:
        result = deed()
    except Failure as failure:
        messages.error(request, sentences.translated(str(failure)))
        return None
    messages.success(request, done)
    return result


def runs_installation(request: HttpRequest) -> bool:
    return person(request).is_superuser
