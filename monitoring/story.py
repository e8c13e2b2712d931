"""Who must move next for an order, what is expected of them, and since when. A function of facts, nothing stored.

Every open order has exactly one such move; one that has arrived, or was cancelled and is settled, has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.failures import Category
from connectors.models import Connection, Job, Link
from monitoring.pages import words
from monitoring.transmission import Obstacle, standing
from orders.lifecycle import returns
from orders.models import Answer, Invoice, Order, OrderEvent, Shipment
from orders.tags import LOST
from orders.vocabulary import Hold, Logistics, OrderStatus, Source


class Party(models.TextChoices):
    HUB = "hub", gettext_lazy("This hub")
    SELLER = "seller", gettext_lazy("You")
    ERP = "erp", gettext_lazy("The ERP")
    WAREHOUSE = "warehouse", gettext_lazy("The warehouse")
    CARRIER = "carrier", gettext_lazy("The carrier")
    CHANNEL = "channel", gettext_lazy("The channel")
    BUYER = "buyer", gettext_lazy("The buyer")


@dataclass(frozen=True)
class Move:
    """`expected` completes "… must move: ". `next_at`: when the hub looks or tries again by itself; `by`: the deadline.

    `message` is ready to be sent to that party; empty for the hub, which needs no letter.
    """

    party: Party
    expected: str
    since: datetime
    by: datetime | None = None
    next_at: datetime | None = None
    message: str = ""

    @property
    def tone(self) -> str:
        if self.by and self.by < timezone.now():
            return "red"
        return "amber" if self.party is Party.SELLER else "blue"


@dataclass
class Facts:
    """All that the answer depends on: the order with what hangs on it (prefetched, or read when asked for), its jobs,
    and the seller's ERPs."""

    order: Order
    jobs: Sequence[Job]
    erps: Sequence[Connection]

    @cached_property
    def link(self) -> Link | None:
        return next(iter(self.order.links.all()), None)

    @cached_property
    def invoices(self) -> list[Invoice]:
        return [one for one in self.order.invoices.all() if not one.cancelled]

    @cached_property
    def refused_invoice(self) -> OrderEvent | None:
        """What the hub said of the last one that it did not take."""
        found = [one for one in self.order.events.all() if one.code == "invoice_refused"]
        return max(found, key=lambda one: one.pk, default=None)

    @cached_property
    def shipments(self) -> list[Shipment]:
        return list(self.order.shipments.all())

    def open_job(self, *operations: str) -> Job | None:
        """The newest that is not done: one with its person before one that still tries."""
        found = [job for job in self.jobs if job.operation in operations and job.state not in _OVER]
        return min(found, key=lambda job: (job.state != Job.State.REFUSED, -job.pk), default=None)

    @property
    def parcels(self) -> list[Shipment]:
        """What was dispatched, by whoever told it."""
        return [one for one in self.shipments if one.source in (Source.ERP, Source.PERSON)]


_OVER = (Job.State.DONE, Job.State.CLOSED)


def next_move(facts: Facts) -> Move | None:
    """The one thing that the order waits for now; None where nothing is expected any more."""
    for step in _STEPS:
        if (move := step(facts)) is not None:
            return replace(move, message=_message(facts, move))
    return None


# --- The steps, in the order in which they hold an order up --------------------------------------------------------


def _cancelled(facts: Facts) -> Move | None:
    """Cancelled at the channel: the ERP's order must go, too, and a parcel that left comes back."""
    order = facts.order
    if returns(order) and order.returned_at is None:
        since = order.cancelled_at or order.changed_at
        return Move(Party.CARRIER, _("the parcel comes back: it was cancelled after it had left"), since)
    if order.status == OrderStatus.CANCELLED and facts.link is not None and not facts.link.cancelled:
        return _of_job(facts.open_job("cancel_erp"), Party.ERP, _("cancels its order"), order.cancelled_at)
    return None


def _cancelling(facts: Facts) -> Move | None:
    """Somebody has asked the channel to cancel it; whatever else it waits for waits for that."""
    job = facts.open_job("cancel_sale")
    if job is None or facts.order.shipped_at or facts.order.status in _ENDED:
        return None
    return _of_job(job, Party.HUB, _("cancels the sale at the channel"), job.created_at)


def _payment(facts: Facts) -> Move | None:
    if facts.order.status != OrderStatus.PENDING:
        return None
    return Move(Party.BUYER, _("pays, and the channel approves it"), facts.order.placed_at)


_HOLDERS = {
    Hold.FRAUD: (Party.CHANNEL, gettext_lazy("ends its check for fraud")),
    Hold.MASKED: (Party.CHANNEL, gettext_lazy("hands out the buyer's data")),
    Hold.MONEY: (Party.SELLER, gettext_lazy("look at the amounts, which do not add up, and release the order")),
    Hold.CURRENCY: (Party.SELLER, gettext_lazy("look at the currency and release the order")),
    Hold.BUYER: (Party.SELLER, gettext_lazy("get the buyer's right document and release the order")),
    Hold.DATES: (Party.SELLER, gettext_lazy("look at the dates and release the order")),
    Hold.PERSON: (Party.SELLER, gettext_lazy("release the order, which somebody has held")),
    Hold.RULE: (Party.SELLER, gettext_lazy("release the order, which a rule holds")),
}


def _hold(facts: Facts) -> Move | None:
    order = facts.order
    if not order.active_holds or order.exported_at or order.status == OrderStatus.CANCELLED:
        return None
    party, expected = _HOLDERS[Hold(order.active_holds[0])]
    return Move(party, str(expected), order.approved_at or order.placed_at, by=order.ship_by)


def _export(facts: Facts) -> Move | None:
    order = facts.order
    found = standing(order, facts.jobs, facts.erps)
    if found is None or found.obstacle is Obstacle.CLOSED or order.status in _ENDED:
        return None
    since = order.approved_at or order.placed_at
    if found.erp is None:
        return Move(Party.SELLER, _("connect an ERP"), since, by=order.ship_by)
    if found.obstacle in (Obstacle.STOPPED, Obstacle.PAUSED):
        return Move(Party.SELLER, _let_run(found.erp), since, by=order.ship_by)
    if found.obstacle is Obstacle.RESTING:
        return Move(Party.ERP, _("answers again"), since, by=order.ship_by, next_at=found.erp.rest_until)
    return _of_job(found.job, Party.HUB, _("writes the order into the ERP"), since, order.ship_by)


def _let_run(erp: Connection) -> str:
    expected = {
        Connection.State.SIGN_IN: _("sign in to %(name)s again"),
        Connection.State.NEW: _("finish connecting %(name)s"),
    }.get(Connection.State(erp.state), _("let %(name)s run again"))
    return expected % {"name": erp.name}


def _twice(facts: Facts) -> Move | None:
    """What went apart after the export, and a person has to put together."""
    job = facts.open_job("change_erp")
    if job is None:
        return None
    return _of_job(job, Party.SELLER, _("correct the order in the ERP"), job.failed_since or job.created_at)


def _invoice(facts: Facts) -> Move | None:
    order = facts.order
    if order.logistics == Logistics.FULFILLED or order.status in _ENDED:
        return None
    wrong = next((one for one in facts.invoices if one.problem or one.answer == Answer.REFUSED), None)
    if wrong is not None:
        reason = words.stored(wrong.problem or wrong.answer_text)
        return Move(Party.SELLER, _("correct the invoice: %(reason)s") % {"reason": reason}, order.invoiced_at or wrong.issued_at or order.placed_at, by=order.ship_by)  # fmt: skip # noqa: E501
    if facts.invoices or order.invoiced_at:
        return None
    if (refused := facts.refused_invoice) is not None:
        reason = words.stored(refused.data["message"])
        return Move(
            Party.SELLER, _("correct the invoice: %(reason)s") % {"reason": reason}, refused.at, by=order.ship_by
        )
    expected = _("issues the invoice")
    if facts.link is not None and facts.link.attention:
        expected = words.stored(facts.link.attention)
    since = order.exported_at or order.placed_at
    return Move(Party.ERP, expected, since, by=order.ship_by, next_at=_looked_at(facts))


def _tell_invoice(facts: Facts) -> Move | None:
    job = facts.open_job("send_invoice")
    if job is None or facts.order.status in _ENDED:
        return None
    return _of_job(job, Party.HUB, _("sends the invoice to the channel"), facts.order.invoiced_at, facts.order.ship_by)


def _dispatch(facts: Facts) -> Move | None:
    order = facts.order
    if order.shipped_at or order.status in _ENDED or facts.parcels:
        return None
    since = order.invoiced_at or order.exported_at or order.placed_at
    if order.logistics == Logistics.FULFILLED:
        return Move(Party.CHANNEL, _("ships from its own warehouse"), since, by=order.ship_by)
    return Move(Party.WAREHOUSE, _("packs and dispatches"), since, by=order.ship_by, next_at=_looked_at(facts))


def _tell_dispatch(facts: Facts) -> Move | None:
    job = facts.open_job("send_dispatch")
    since = facts.order.shipped_at
    if job is not None:
        return _of_job(job, Party.HUB, _("tells the channel that it was shipped"), since, facts.order.ship_by)
    refused = next((one for one in facts.parcels if one.answer == Answer.REFUSED), None)
    if refused is None or facts.order.delivered_at:
        return None
    reason = words.stored(refused.answer_text)
    return Move(Party.SELLER, _("correct the dispatch: %(reason)s") % {"reason": reason}, refused.answered_at or facts.order.changed_at)  # fmt: skip # noqa: E501


def _delivery(facts: Facts) -> Move | None:
    order = facts.order
    if order.status in _ENDED:
        return None
    if LOST in order.tags:
        return Move(Party.SELLER, _("the parcel is lost: refund the buyer or send it again"), order.changed_at)
    trouble = next((one.exception for one in facts.shipments if one.exception), "")
    expected = _("delivers; reported problem: %(text)s") % {"text": trouble} if trouble else _("delivers")
    since = order.shipped_at or max((one.shipped_at for one in facts.parcels if one.shipped_at), default=order.changed_at)  # fmt: skip # noqa: E501
    return Move(Party.CARRIER, expected, since, by=order.deliver_by)


def _tell_delivery(facts: Facts) -> Move | None:
    job = facts.open_job("send_delivery")
    if job is None:
        return None
    return _of_job(job, Party.HUB, _("tells the channel that it was delivered"), facts.order.delivered_at)


_ENDED = (OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.RETURNED)
_STEPS: tuple[Callable[[Facts], Move | None], ...] = (
    _cancelled, _cancelling, _payment, _hold, _export, _twice, _invoice, _tell_invoice, _dispatch, _tell_dispatch,
    _delivery, _tell_delivery,
)  # fmt: skip


def _of_job(job: Job | None, party: Party, expected: str, since: datetime | None, by: datetime | None = None) -> Move:
    """The move that a step calls for: a refused one is its person's, one that another side holds up is theirs."""
    begun = since or timezone.now()
    if job is None:
        return Move(party, expected, begun, by=by)
    if job.state == Job.State.REFUSED:
        reason = words.stored(job.error)
        return Move(Party.SELLER, reason, job.failed_since or begun, by=by)
    waits = job.due_at if job.due_at > timezone.now() else None
    if job.state == Job.State.UNKNOWN:
        expected = _("looks whether %(name)s has it already: the answer got lost") % {"name": job.connection.name}
        return Move(Party.HUB, expected, begun, by=by, next_at=waits)
    if job.error and job.category in (Category.TRANSIENT, Category.RATE_LIMITED):
        party = Party.ERP if job.connection.role == "erp" else Party.CHANNEL
        expected = words.stored(job.error)
    return Move(party, expected, begun, by=by, next_at=waits)


def _looked_at(facts: Facts) -> datetime | None:
    """When the ERP is looked at next."""
    job = facts.open_job("read_erp")
    if job is not None and job.due_at > timezone.now():
        return job.due_at
    return facts.link.connection.next_poll_at if facts.link is not None else None


# --- The letter ----------------------------------------------------------------------------------------------------


def _message(facts: Facts, move: Move) -> str:
    """What to write to that party, ready to be sent. Names no buyer: it leaves the house."""
    if move.party in (Party.HUB, Party.SELLER):
        return ""
    order = facts.order
    tracking = next((one.tracking_code for one in facts.shipments if one.tracking_code), "")
    lines = [
        _("Order %(number)s (%(channel)s)") % {"number": order.external_id, "channel": order.channel.name},
        _("In the ERP: %(number)s") % {"number": facts.link} if facts.link is not None else "",
        _("Tracking code: %(code)s") % {"code": tracking} if tracking else "",
        _("Expected: %(party)s %(expected)s.") % {"party": move.party.label, "expected": move.expected.rstrip(".")},
        _("Waiting since %(when)s.") % {"when": _moment(move.since)},
        _("Deadline: %(when)s.") % {"when": _moment(move.by)} if move.by else "",
        _("Could you tell us when this will happen?"),
    ]
    return "\n".join(line for line in lines if line)


def _moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")
