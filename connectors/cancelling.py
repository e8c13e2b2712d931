"""A person cancels a sale at its channel: asked for once, sent by the ledger, believed when the channel shows it.

The order becomes cancelled by the channel's next document alone, which then cancels the ERP's order, too. Until that is
decided a sale that is not in the ERP yet is held; if the channel refuses, its person decides.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from connectors import actions, ledger, planning, registry
from connectors.contract import Capability, Outcome
from connectors.failures import Category, Failure, LeaseLost, NotYet, Refusal
from connectors.ledger import Step
from connectors.models import Connection, Job
from connectors.work import Desk
from orders import doors
from orders.export import for_export, to_document
from orders.models import Order
from orders.vocabulary import Logistics, OrderStatus, Source

OPERATION = "cancel_sale"
# What one channel takes of a person's words.
LONGEST_REASON = 150
OPEN = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED)
LOOK_AGAIN = timedelta(seconds=30)
# A channel that takes longer has forgotten it: a person looks there.
LONGEST = timedelta(hours=24)


def possible(order: Order) -> bool:
    """Whether its channel can be told to cancel it, as far as the hub knows."""
    connection: Connection | None = getattr(order.channel, "connection", None)
    if connection is None or order.status not in OPEN or order.logistics == Logistics.FULFILLED:
        return False
    kind = registry.services().get(connection.kind)
    return kind is not None and Capability.CANCEL in kind.capabilities


@transaction.atomic
def ask(order: Order, reason: str, actor: str) -> None:
    """Raises `Refusal` where it is impossible, asked for already, or just being written into the ERP."""
    order = Order.objects.select_related("channel__connection").select_for_update(of=("self",)).get(pk=order.pk)
    if not reason:
        raise Refusal("Say why the sale is cancelled.")
    if not possible(order):
        raise Refusal("This sale cannot be cancelled at its channel any more.")
    if planning.being_cancelled(order):
        raise Refusal("The channel is being asked to cancel this sale already.")
    if order.exported_at is None:
        _keep_from_erp(order, actor)
    said = {"reason": reason[:LONGEST_REASON]}
    doors.append(order, "cancel_asked", Source.PERSON, said, actor)
    connection = order.channel.connection
    _begin(Step(connection.pk, OPERATION, f"order:{order.pk}", order.pk, planning.URGENT_PRIORITY, said), actor)


def _begin(step: Step, actor: str) -> None:
    jobs = Job.objects.filter(connection=step.connection_id, operation=OPERATION, key=step.key)
    before = jobs.exclude(state=Job.State.DONE).first()
    if before is None:
        return ledger.ask([step])
    # Refused, or closed: the ledger leaves such a one to its person, who is here.
    jobs.update(input=step.input)
    return actions.retry(before, actor)


def _keep_from_erp(order: Order, actor: str) -> None:
    """An export that has begun comes to its end first: nobody can take it back."""
    exports = Job.objects.filter(order=order, operation="export").order_by("pk").select_for_update(of=("self",))
    if any(job.state == Job.State.RUNNING for job in exports):
        raise Refusal("It is being sent at this moment. Look again in a minute.")
    doors.hold(order, actor)


# --- The job -------------------------------------------------------------------------------------------------------


def cancel_sale(desk: Desk, job: Job) -> None:
    """Tells the channel; where that takes the channel time, comes back until it has decided."""
    order = for_export(Order.objects.filter(jobs=job)).first()
    if order is None or order.status == OrderStatus.CANCELLED:
        return desk.finish(job)
    if order.status not in OPEN:
        raise Refusal("The sale has left, or is over: it cannot be cancelled any more.", code="has_left")
    under_way = str(job.input.get("under_way", ""))
    try:
        document = to_document(order, whole=True)
        receipt = desk.adapter.cancel(document, str(job.input.get("reason", "")), under_way)
    except Failure as failure:
        if failure.category is Category.REJECTED:
            _keep(job, under_way="")
        raise
    if receipt.outcome is Outcome.UNDER_WAY:
        raise _later(job, receipt.external_id, receipt.message)
    with transaction.atomic():
        doors.append(order, "cancel_sent", Source.HUB, {"message": receipt.message})
        ledger.ask([planning.fetch_step(desk.connection, order.external_id, planning.URGENT_PRIORITY)])
        if not ledger.done(job):
            raise LeaseLost
    return None


def _later(job: Job, under_way: str, message: str) -> Failure:
    now = timezone.now()
    since = datetime.fromisoformat(job.input.get("since") or now.isoformat())
    if now - since > LONGEST:
        _keep(job, under_way="")
        return Refusal("The channel has not decided about the cancellation for a day. Look there.", code="undecided")
    _keep(job, under_way=under_way, since=since.isoformat())
    return NotYet(message, retry_at=now + LOOK_AGAIN)


def _keep(job: Job, *, under_way: str, since: str = "") -> None:
    """What the next try goes on from. Who has lost the job leaves it as it is."""
    kept = {"reason": job.input.get("reason", ""), **({"under_way": under_way, "since": since} if under_way else {})}
    if not Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.RUNNING).update(input=kept):
        raise LeaseLost
    job.input = kept
