"""What a person does to the list of orders as a whole: views, columns, weights, and work over many of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from hub.models import Seller
from hub.tenancy import Permission
from hub.vault import VaultLocked
from monitoring import sheets
from monitoring.desk import bulk, columns, files, filters, views
from monitoring.models import BulkTask, SavedView
from monitoring.packing.picking import MOST
from monitoring.pages import sentences
from monitoring.pages.orders import COUNT_UP_TO
from monitoring.pages.shell import (
    action,
    form_page,
    log,
    mine,
    must_act,
    one,
    page,
    person,
    seller_ids,
    sellers_allowing,
    show,
)
from orders import priority
from orders.models import Order, Rule

# Papers for the chosen orders: pages of their own.
PAPERS = {"labels": "packing_labels", "pick_list": "pick_list"}
LONGEST_NAME = 40


# --- Views and columns -----------------------------------------------------------------------------------------------


@action
def view_save(request: HttpRequest) -> HttpResponse:
    name = " ".join(request.POST.get("title", "").split())[:LONGEST_NAME]
    chosen = _chosen(request)
    if name:
        shared = next(
            (one for one in sellers_allowing(request) if str(one.pk) == request.POST.get("shared_with")), None
        )
        saved = views.save(person(request), name, chosen, shared)
        if saved is None:
            messages.error(request, _("You have too many views: remove one first."))
    else:
        messages.error(request, _("Give the view a name."))
    return redirect(_list(chosen))


@action
def view_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """One's own, or one shared in a seller whose settings one may change."""
    view = get_object_or_404(views.seen_by(person(request), seller_ids(request)), pk=pk)
    if view.person_id != person(request).pk:
        if view.shared_with is None:
            raise PermissionDenied
        must_act(request, view.shared_with, Permission.SETTINGS)
    SavedView.objects.filter(pk=view.pk).delete()
    return redirect(_list(_chosen(request)))


@action
def choose_columns(request: HttpRequest) -> HttpResponse:
    columns.choose(person(request), request.POST.getlist("column"))
    return redirect(_list(_chosen(request)))


def _chosen(request: HttpRequest) -> dict[str, str]:
    """The list's filters as the form carries them: in one field, as in the address."""
    return filters.clean(QueryDict(request.POST.get("query", "")[:2000]).dict())


def _list(chosen: dict[str, str]) -> str:
    return f"{reverse('orders')}?{urlencode(chosen)}" if chosen else reverse("orders")


# --- Weights ---------------------------------------------------------------------------------------------------------


@form_page
def weights(request: HttpRequest, pk: int) -> HttpResponse:
    seller = one(Seller.objects.all(), request, pk, "pk")
    must_act(request, seller, Permission.SETTINGS)
    if request.method == "POST":
        return _weigh(request, seller)
    now = priority.weights_of(seller)
    return show(
        request,
        "orders_weights.html",
        _("What comes first"),
        seller=seller,
        parts=[(part.value, part.label, EXPLAINED[part](), now[part]) for part in priority.Part],
    )


EXPLAINED: dict[str, Callable[[], str]] = {
    priority.Part.URGENCY: lambda: _("Nothing three days before the time to ship, all of it when that has come."),
    priority.Part.IMPACT: lambda: _("Half for what your orders usually are worth, more for more."),
    priority.Part.COST: lambda: _("The fewer pieces there are to pack, the more."),
    priority.Part.CUSTOMER: lambda: _("Who has bought before; all of it with the tag “vip”."),
}


def _weigh(request: HttpRequest, seller: Seller) -> HttpResponse:
    chosen = {part: _percentage(request.POST.get(part, "")) for part in priority.Part.values}
    if not any(chosen.values()):
        messages.error(request, _("One of them at least must count."))
        return redirect("seller_weights", seller.pk)
    before = priority.weights_of(seller)
    Seller.objects.filter(pk=seller.pk).update(weights=chosen)
    priority.weigh_anew(Order.objects.filter(seller=seller))
    log(request, "weights_changed", seller, before=before, after=chosen)
    messages.success(request, _("Kept. The list is sorted anew within half a minute."))
    return redirect(_list({"status": filters.OPEN}))


def _percentage(text: str) -> int:
    return min(int(text), 100) if text.isdecimal() and len(text) < 5 else 0


# --- Work over many orders -------------------------------------------------------------------------------------------


@action
def bulk_ask(request: HttpRequest) -> HttpResponse:
    """From the list: shows what would be done to how many orders. Papers have pages of their own."""
    kind = request.POST.get("kind", "")
    if kind in PAPERS:
        return _papers(request, PAPERS[kind])
    sellers = _sellers(request, kind)
    params = _which(request)
    draft = BulkTask(person=person(request), kind=kind, sellers=sellers, params=params, last=2**62)
    count = bulk.orders_of(draft).order_by()[: COUNT_UP_TO + 1].count()
    if not count:
        messages.warning(request, _("Nothing was chosen."))
        return redirect(_list(_chosen(request)))
    return show(
        request,
        "orders_bulk_ask.html",
        draft.get_kind_display(),
        kind=kind,
        count=min(count, COUNT_UP_TO),
        more_than=count > COUNT_UP_TO,
        ids=params.get("ids", ()),
        query=request.POST.get("query", ""),
        back_to=_list(_chosen(request)),
        people=filters.Scope(sellers).people if kind == BulkTask.Kind.ASSIGN else (),
        rules=_rules(sellers) if kind == BulkTask.Kind.RULE else (),
    )


def _rules(sellers: list[int]) -> QuerySet[Rule]:
    return Rule.objects.filter(seller__in=sellers).order_by("seller", "position", "pk")


def _papers(request: HttpRequest, name: str) -> HttpResponse:
    """Of the ticked orders, or of the first that match, in the list's order: a page of papers has its limit."""
    chosen, ids = _chosen(request), _ids(request)
    if request.POST.get("all") == "yes":
        scope = filters.Scope(seller_ids(request))
        rows = filters.filtered(mine(Order.objects.all(), request), chosen, scope)
        ids = list(filters.in_order(rows, chosen, scope).values_list("pk", flat=True)[:MOST])
    if not ids:
        messages.warning(request, _("Nothing was chosen."))
        return redirect(_list(chosen))
    return redirect(f"{reverse(name)}?orders={','.join(map(str, ids))}")


@action
def bulk_begin(request: HttpRequest) -> HttpResponseBase:
    kind = request.POST.get("kind", "")
    sellers = _sellers(request, kind)
    params = {**_which(request), **_given(request, kind)}
    if "tag" in params and (problem := bulk.tag_problem(params["tag"])):
        messages.error(request, problem)
        return redirect(_list(_chosen(request)))
    if kind == BulkTask.Kind.EXPORT and (file := _at_once(request, sellers, params)) is not None:
        return file
    task = bulk.ask(person(request), kind, sellers, params)
    if task is None:
        messages.error(request, _("You have too much under way: wait until one of it has ended."))
        return redirect("bulks")
    return redirect("bulk", task.pk)


def _at_once(request: HttpRequest, sellers: list[int], params: dict[str, Any]) -> HttpResponseBase | None:
    """The file itself, where it is so small that nobody has to wait for it."""
    kind = BulkTask.Kind.EXPORT
    task = BulkTask(person=person(request), kind=kind, sellers=sellers, params=params, last=2**62)
    ids = list(bulk.in_lists_order(task)[: files.AT_ONCE + 1])
    if len(ids) > files.AT_ONCE:
        return None
    task.changed = len(ids)
    bulk.tell(task)
    return _file(task, files.content(task, files.at_once(task, bulk.readable(task), ids)))


def _sellers(request: HttpRequest, kind: str) -> list[int]:
    """Sellers in view for whose orders this person may do it; 403 where there is none."""
    allowed = bulk.may(person(request), kind) if kind in BulkTask.Kind.values else []
    found = [pk for pk in seller_ids(request) if pk in allowed]
    if not found:
        raise PermissionDenied
    return found


def _which(request: HttpRequest) -> dict[str, Any]:
    """The ticked orders, or all that the filter finds; sorted as the list is."""
    which: dict[str, Any] = {"filter": _chosen(request)}
    # None ticked is not all: no order has this key.
    return which if request.POST.get("all") == "yes" else {**which, "ids": _ids(request) or [0]}


def _ids(request: HttpRequest) -> list[int]:
    return _numbers(request.POST.getlist("order")[:MOST])


def _numbers(values: Iterable[str]) -> list[int]:
    return [int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 19]


def _given(request: HttpRequest, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"language": translation.get_language() or "pt-br"}
    if kind in (BulkTask.Kind.TAG, BulkTask.Kind.UNTAG):
        found["tag"] = " ".join(request.POST.get("tag", "").split())
    if kind == BulkTask.Kind.DISPATCH:
        found["carrier"] = request.POST.get("carrier", "").strip()[:120]
    if kind == BulkTask.Kind.ASSIGN:
        found["assignee"] = next(iter(_numbers(request.POST.getlist("assignee"))), None)
    if kind == BulkTask.Kind.RULE:
        found["rule"] = next(iter(_numbers(request.POST.getlist("rule"))), 0)
    if kind == BulkTask.Kind.EXPORT:
        found["format"] = files.XLSX if request.POST.get("format") == files.XLSX else files.CSV
        found["columns"] = columns.of(person(request), _chosen(request))
    return found


@page
def bulks(request: HttpRequest) -> HttpResponse:
    rows = BulkTask.objects.filter(person=person(request)).order_by("-pk")[:30]
    return show(request, "orders_bulks.html", _("Work on many orders"), tasks=list(rows))


@page
def bulk_one(request: HttpRequest, pk: int) -> HttpResponse:
    task = _task(request, pk)
    return show(request, "orders_bulk.html", task.get_kind_display(), task=task, has_file=_has_file(task))


def _has_file(task: BulkTask) -> bool:
    finished = task.kind == BulkTask.Kind.EXPORT and task.state == BulkTask.State.DONE and not task.failed
    return finished and task.expires_at is not None and task.expires_at > timezone.now()


@action
def bulk_stop(request: HttpRequest, pk: int) -> HttpResponse:
    if bulk.stop(_task(request, pk)):
        messages.success(request, _("Stopped. What is done stays done."))
    return redirect("bulk", pk)


@page
def bulk_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    task = _task(request, pk)
    if not _has_file(task):
        raise Http404
    if not set(task.sellers) <= set(bulk.may(person(request), task.kind)):
        raise PermissionDenied
    try:
        return _file(task, files.stored(task))
    except VaultLocked as error:
        messages.error(request, sentences.translated(str(error)))
        return redirect("bulk", pk)


def _file(task: BulkTask, content: bytes | Iterator[str]) -> HttpResponseBase:
    name = f"{_('orders')}-{timezone.localtime(task.created_at):%Y-%m-%d-%H%M}.{task.params['format']}"
    if not isinstance(content, bytes):
        return sheets.answer(name, content)
    answer = HttpResponse(content, content_type=files.XLSX_TYPE)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _task(request: HttpRequest, pk: int) -> BulkTask:
    """One's own: nobody else's list or file."""
    return get_object_or_404(BulkTask, pk=pk, person=person(request))
