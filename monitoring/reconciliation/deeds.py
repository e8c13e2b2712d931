"""What repairs do. Each looks at the facts once more under lock before it does anything: between the comparison and the
press of a button an export may have begun, a link been made, a sale been cancelled.
"""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import hints, intake, ledger, planning, sales, work
from connectors.contract import Capability, Role, SaleState
from connectors.failures import LeaseLost, Refusal
from connectors.ledger import Step
from connectors.models import Connection, Job, Link
from connectors.work import Desk
from monitoring.models import Finding, Listed
from monitoring.reconciliation import findings
from monitoring.reconciliation.findings import Kind
from orders import doors
from orders.models import Order
from orders.vocabulary import Source

CANCEL_TWIN = "cancel_twin"
SENTENCES = {
    "relinked": gettext_lazy("Tied to order %(number)s of the ERP."),
    "adopted": gettext_lazy("The ERP's order %(number)s, which somebody had entered there, was taken for this sale."),
    "lost_in_erp": gettext_lazy("The ERP has its order %(number)s no more: the sale goes there again."),
    "twin_cancelled": gettext_lazy("The second order %(number)s was cancelled in the ERP. %(message)s"),
}


@dataclass(frozen=True)
class Request:
    """A repair somebody wants: `choice` is the id of one of the ERP's orders, `actor` nobody where the hub acts."""

    row: Finding
    choice: str = ""
    actor: str = ""

    @property
    def order(self) -> Order:
        if self.row.order is None:
            raise Refusal(_("This sale is not in the hub."))
        return self.row.order

    @property
    def source(self) -> Source:
        return Source.PERSON if self.actor else Source.HUB


# --- Reading again -------------------------------------------------------------------------------------------------


def read_channel(request: Request) -> Step:
    row = request.row
    external_id = row.order.external_id if row.order is not None else row.key
    channel = row.connection if row.connection.role == Role.CHANNEL else request.order.channel.connection
    return Step(channel.pk, "fetch", external_id, row.order_id, _priority(request))


def read_erp(request: Request) -> Step:
    """The order that the hub holds for this sale; one that carries our key and was lost is tied to it by being read."""
    link = Link.objects.filter(connection=request.row.connection, order=request.row.order_id).first()
    external_id = link.external_id if link is not None else _only_entry(request)
    return Step(request.row.connection_id, "read_erp", external_id, request.row.order_id, _priority(request))


def _only_entry(request: Request) -> str:
    entries = request.row.facts.get("erp") or []
    if len(entries) != 1:
        raise Refusal(_("The ERP lists no order of this sale that could be read."))
    return str(entries[0]["id"])


def _priority(request: Request) -> int:
    return planning.URGENT_PRIORITY if request.actor else findings.PRIORITY


# --- Tying ---------------------------------------------------------------------------------------------------------


def _hold_exports(order: Order, erp: Connection) -> None:
    """Nothing is being written into the ERP for this sale, nor will be while the transaction lasts: the job exists and
    is locked, so that nobody can ask for it or claim it meanwhile."""
    # The order before its links, as everybody who writes both.
    Order.objects.select_for_update().get(pk=order.pk)
    ledger.ask([planning.export_step(erp, order)])
    jobs = list(Job.objects.select_for_update().filter(order=order, operation="export").order_by("pk"))
    if any(job.state == Job.State.RUNNING for job in jobs):
        raise Refusal(_("This sale is being sent to the ERP at this moment. Look again in a minute."))
    if any(job.uncertain or job.state == Job.State.UNKNOWN for job in jobs):
        raise Refusal(
            _("It is not known yet whether the ERP has written this sale: the hub is looking it up. Look again later.")
        )


def _tie(request: Request, external_id: str, code: str) -> Link:
    """The sale belongs to this order of the ERP, whatever it belonged to before."""
    erp, order = request.row.connection, request.order
    _hold_exports(order, erp)
    entry = Listed.objects.filter(connection=erp, key=external_id).first()
    number = str(entry) if entry is not None else external_id
    if entry is not None and entry.cancelled:
        raise Refusal(_("The ERP's order %(number)s is cancelled.") % {"number": number})
    Link.objects.filter(connection=erp, order=order).exclude(external_id=external_id).delete()
    total = entry.total if entry is not None else None
    (link,) = sales.attach([sales.tie(erp, order, external_id, number=number, total=total, adopted=True)])
    waiting = Job.objects.filter(order=order, operation="export").exclude(state=Job.State.DONE)
    waiting.update(state=Job.State.DONE, finished_at=timezone.now())
    doors.append(order, code, request.source, {"number": number}, request.actor)
    return link


def relink(request: Request) -> Step:
    link = _tie(request, request.choice or _only_entry(request), "relinked")
    return Step(link.connection_id, "read_erp", link.external_id, link.order_id, _priority(request))


def adopt(request: Request) -> Step:
    link = _tie(request, request.choice or _only_entry(request), "adopted")
    # Lines may have been cancelled before it was typed: nobody knows, so a person hears of it.
    ledger.ask(planning.change_steps([link.order], request.order.placed_at))
    return Step(link.connection_id, "read_erp", link.external_id, link.order_id, _priority(request))


def resend(request: Request) -> Step:
    """Once more into the ERP. It counts as uncertain: the ERP is searched for it, twice, before anything is written."""
    erp, order = request.row.connection, request.order
    _hold_exports(order, erp)
    link = Link.objects.filter(connection=erp, order=order).first()
    if link is not None and link.external_id != request.row.key:
        raise Refusal(_("The sale is in the ERP as %(number)s.") % {"number": link})
    Link.objects.filter(connection=erp, order=order).delete()
    Order.objects.filter(pk=order.pk).update(exported_at=None, changed_at=timezone.now())
    order.refresh_from_db()
    if not planning.may_export(order):
        raise Refusal(_("This sale is held, not paid or cancelled: it does not go to the ERP now."))
    number = str(link) if link is not None else ""
    doors.append(order, "lost_in_erp", request.source, {"number": number}, request.actor)
    step = planning.export_step(erp, order)
    ledger.ask([step])
    Job.objects.filter(connection=erp, operation="export", key=step.key).update(
        state=Job.State.UNKNOWN, uncertain=True, absences=0, attempts=0, due_at=timezone.now()
    )
    return step


def choose(request: Request) -> Step:
    """This one is the sale; the others are cancelled by jobs of their own."""
    entries = {str(entry["id"]): entry for entry in request.row.facts.get("erp") or []}
    if request.choice not in entries:
        raise Refusal(_("Choose one of the orders."))
    link = Link.objects.filter(connection=request.row.connection, order=request.order).first()
    if link is None or link.external_id != request.choice:
        link = _tie(request, request.choice, "relinked")
    steps = [
        Step(link.connection_id, CANCEL_TWIN, external_id, link.order_id, planning.URGENT_PRIORITY)
        for external_id in entries
        if external_id != request.choice
    ]
    ledger.ask(steps)
    return steps[-1]


def cancel_twin(desk: Desk, job: Job) -> None:
    """A job: the ERP's second order of a sale, which a person has said is not the true one."""
    order = job.order
    true_one = Link.objects.filter(connection=desk.connection, order=order, cancelled=False).first()
    theirs = Link.objects.filter(connection=desk.connection, external_id=job.key).exists()
    if order is None or true_one is None or theirs:
        # It is some sale's own by now, or this sale would be left without one.
        return desk.finish(job)
    if Capability.CANCEL not in desk.service.capabilities:
        raise Refusal(
            "This ERP cannot be told of a cancellation. Cancel the order there by hand, then mark this as handled.",
            code="cannot_cancel",
        )
    state = intake.interpret(desk.connection.kind, desk.adapter.fetch(job.key), desk.connection.settings)
    if isinstance(state, SaleState) and any(not invoice.cancelled for invoice in state.invoices):
        raise Refusal(
            "The ERP's second order of this sale has an invoice. Cancel both there by hand, then mark this as handled.",
            code="twin_invoiced",
        )
    receipt = desk.adapter.cancel(job.key)
    with transaction.atomic():
        twin = Listed.objects.filter(connection=desk.connection, key=job.key)
        number = next((str(row) for row in twin), job.key)
        twin.update(status="cancelled")
        doors.append(order, "twin_cancelled", Source.HUB, {"number": number, "message": receipt.message})
        if not ledger.done(job):
            raise LeaseLost
    return None


# --- An ERP order that somebody names ------------------------------------------------------------------------------


def adopt_by_hand(order: Order, erp: Connection, external_id: str, actor: str) -> None:
    """For a sale without a finding: the ERP's order is read first, so that what is tied to it exists and is its own."""
    state = _fresh(erp, external_id)
    if state.cancelled:
        raise Refusal(_("The ERP's order %(number)s is cancelled.") % {"number": state.number or external_id})
    if state.hub_key and state.hub_key != sales.hub_key(order):
        raise Refusal(_("The ERP's order %(number)s is another sale's.") % {"number": state.number or external_id})
    finding = Finding(seller=order.seller, connection=erp, order=order, kind=Kind.TYPED_BY_HAND)
    with transaction.atomic():
        request = Request(finding, external_id, actor)
        if (held := Link.objects.filter(connection=erp, order=order).first()) is not None:
            raise Refusal(_("The sale is in the ERP as %(number)s.") % {"number": held})
        step = adopt(request)
        Link.objects.filter(order=order, connection=erp).update(number=state.number or external_id, total=state.total)
        ledger.ask([step])
    hints.give([erp.pk])


def _fresh(erp: Connection, external_id: str) -> SaleState:
    desk = work.Desk(erp)
    try:
        state = intake.interpret(erp.kind, desk.adapter.fetch(external_id), erp.settings)
    finally:
        desk.close()
    if not isinstance(state, SaleState):
        raise Refusal(_("The ERP has no such order."))
    return state
