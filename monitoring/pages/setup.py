"""The first five minutes: what is set up already, read from the facts, and what comes next; and the demonstration."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.contract import Role
from connectors.models import Backfill, Connection
from hub.models import Invitation, Membership, Seller
from hub.tenancy import Permission
from monitoring import demonstration
from monitoring.models import Destination
from monitoring.pages.shell import (
    action,
    back,
    carry_out,
    log,
    must_act,
    one,
    page,
    person,
    runs_installation,
    sellers_allowing,
    show,
)
from orders.models import Order

# A channel, an ERP, orders, and a look at the first one; the others can wait.
NEEDED = 4


@dataclass(frozen=True)
class Step:
    """`done` is read from the rows, so that a step comes back when what it made is gone."""

    title: str | Promise
    hint: str | Promise
    press: str | Promise
    link: str
    done: bool


@dataclass(frozen=True)
class Checklist:
    seller: Seller
    steps: list[Step]

    @property
    def done(self) -> int:
        return sum(step.done for step in self.steps)

    @property
    def following(self) -> Step | None:
        """The first that is open."""
        return next((step for step in self.steps if not step.done), None)

    @property
    def urgent(self) -> bool:
        """Without these steps no order arrives where it should."""
        return not all(step.done for step in self.steps[:NEEDED])

    @property
    def percent(self) -> int:
        return 100 * self.done // len(self.steps)


@page
def setup(request: HttpRequest) -> HttpResponse:
    """The steps of every seller this person sets up, put away or not."""
    found = _facts(Seller.objects.filter(pk__in=_settable(request)).order_by("name"))
    return show(
        request, "setup.html", _("Set up"), lists=[_checklist(seller) for seller in found], **_demonstration(request)
    )


def checklist(request: HttpRequest) -> Checklist | None:
    """For the first page: that of the first seller in view with steps left that nobody has put away."""
    open_ones = Seller.objects.filter(pk__in=_settable(request), setup_closed_at=None).order_by("pk")
    lists = (_checklist(seller) for seller in _facts(open_ones))
    return next((found for found in lists if found.following), None)


def may_see(request: HttpRequest) -> bool:
    """Whether the navigation has it: whoever sets something up, or runs the installation."""
    return runs_installation(request) or bool(_settable(request))


def _settable(request: HttpRequest) -> list[int]:
    return [seller.pk for seller in sellers_allowing(request, Permission.SETTINGS)]


def _facts(sellers: QuerySet[Seller]) -> QuerySet[Any]:
    """One question for all steps of all sellers; each part stops at the first row it finds."""
    working = Connection.objects.filter(seller=OuterRef("pk"), state=Connection.State.ACTIVE).order_by("pk")
    orders = Order.objects.filter(seller=OuterRef("pk"))
    exported = orders.filter(links__isnull=False)
    people = Membership.objects.filter(seller=OuterRef("pk")).order_by().values("seller")
    return sellers.annotate(
        shop=Subquery(working.filter(role=Role.CHANNEL).values("pk")[:1]),
        has_erp=Exists(working.filter(role=Role.ERP)),
        imported=Exists(Backfill.objects.filter(connection__seller=OuterRef("pk"))),
        newest=Subquery(orders.order_by("-placed_at").values("pk")[:1]),
        first_exported=Subquery(exported.order_by("-placed_at").values("pk")[:1]),
        people=Subquery(people.annotate(count=Count("pk")).values("count")),
        invited=Exists(Invitation.objects.filter(seller=OuterRef("pk"), withdrawn_at=None)),
        told=Exists(Destination.objects.filter(seller=OuterRef("pk"))),
    )


def _checklist(seller: Any) -> Checklist:
    """`seller` with its `_facts`."""
    choose = reverse("connect_choose")
    shop = reverse("connection", args=[seller.shop]) if seller.shop else choose
    order = seller.first_exported or seller.newest
    first = reverse("order", args=[order]) if order else reverse("orders")
    return Checklist(
        seller,
        [
            Step(*CHANNEL, choose, seller.shop is not None),
            Step(*ERP, choose, seller.has_erp),
            Step(*IMPORT, f"{shop}#period", seller.imported or seller.newest is not None),
            Step(*CHECK, first, seller.first_exported is not None),
            Step(*PEOPLE, reverse("people"), (seller.people or 0) > 1 or seller.invited),
            Step(*ALERTS, reverse("add_destination"), seller.told),
        ],
    )


CHANNEL = (
    gettext_lazy("Connect a channel"),
    gettext_lazy("Where you sell: its orders come in by themselves from then on."),
    gettext_lazy("Choose a channel"),
)
ERP = (
    gettext_lazy("Connect the ERP"),
    gettext_lazy("Where you invoice: every sale is created there once, and its invoice goes back to the channel."),
    gettext_lazy("Choose an ERP"),
)
IMPORT = (
    gettext_lazy("Bring in the orders of a period"),
    gettext_lazy("New orders come by themselves; for those of last week name the days on the channel's page."),
    gettext_lazy("Name the days"),
)
CHECK = (
    gettext_lazy("Check the first order in the ERP"),
    gettext_lazy("As soon as one has arrived there: compare items, buyer and total, before you rely on it."),
    gettext_lazy("Open the order"),
)
PEOPLE = (
    gettext_lazy("Invite the people who work with you"),
    gettext_lazy("Each with a sign-in of their own, and only what they need to see."),
    gettext_lazy("Invite somebody"),
)
ALERTS = (
    gettext_lazy("Say where alerts go"),
    gettext_lazy("E-mail or chat: you hear of trouble without looking here."),
    gettext_lazy("Add a destination"),
)


@action
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """The first page shows the steps no more; they stay on their own page."""
    return _put(request, pk, "setup_closed", timezone.now())


@action
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    return _put(request, pk, "setup_opened", None)


def _put(request: HttpRequest, pk: int, what: str, at: Any) -> HttpResponse:
    seller = one(Seller.objects.all(), request, pk, "pk")
    must_act(request, seller, Permission.SETTINGS)
    Seller.objects.filter(pk=pk).update(setup_closed_at=at)
    log(request, what, seller)
    return back(request, reverse("setup"))


# --- The demonstration ----------------------------------------------------------------------------------------------


def _demonstration(request: HttpRequest) -> dict[str, Any]:
    here = demonstration.here
    return {"may_demonstrate": here is not None and runs_installation(request), "demonstrating": here and here.running}


def _own(request: HttpRequest) -> demonstration.Demonstration:
    """The one of this process, for whoever runs the installation."""
    if demonstration.here is None or not runs_installation(request):
        raise PermissionDenied
    return demonstration.here


@action
def demo_start(request: HttpRequest) -> HttpResponse:
    here = _own(request)
    carry_out(request, lambda: here.start(person(request)), _("The demonstration runs; its first orders are coming."))
    if shown := demonstration.seller():
        log(request, "demo_started", shown)
    return redirect("admin:index")


@action
def demo_remove(request: HttpRequest) -> HttpResponse:
    here = _own(request)
    carry_out(request, here.remove, _("The demonstration and all its data are gone."))
    return redirect("setup")
