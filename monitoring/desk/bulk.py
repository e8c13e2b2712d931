"""Work over many orders, in slices that a worker takes one after the other.

A slice is claimed by a lease, does its orders in the order of their keys, and then moves the task's cursor. Where a
worker dies in between, the slice is done again: each deed leaves alone what is done already. A file is in the list's
order instead, which its first slice writes down.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from connectors import actions, hints
from connectors.failures import Failure
from connectors.models import Job
from hub.models import Seller
from hub.people.activity import record
from hub.tenancy import Permission, allows, memberships_of, workers_of
from monitoring.desk import files, filters
from monitoring.models import BulkTask
from monitoring.packing import dispatch
from orders import doors
from orders.models import Order, Rule
from orders.vocabulary import OrderStatus

SLICE = 100
LEASE = timedelta(minutes=3)
# Named in the row; the others are counted.
ERRORS_KEPT = 200
KEPT = timedelta(hours=24)
# Of one person at the same time: enough for every honest use, and no way to fill the workers.
MOST_OPEN = 5
# What can be tried again by a person: see `figures.failed_jobs`.
FAILED = Q(state__in=(Job.State.REFUSED, Job.State.UNKNOWN)) | (Q(state=Job.State.READY) & ~Q(error=""))
LONGEST_TAG = 40
Kind = BulkTask.Kind


def ask(person: User, kind: str, sellers: Sequence[int], params: Mapping[str, Any]) -> BulkTask | None:
    """Begins at once. None where this person has too much under way."""
    if BulkTask.objects.filter(person=person, state__in=OPEN).count() >= MOST_OPEN:
        return None
    # What comes in later is not what the person saw.
    last = Order.objects.aggregate(last=Max("pk"))["last"] or 0
    task = BulkTask.objects.create(person=person, kind=kind, sellers=list(sellers), params=dict(params), last=last)
    transaction.on_commit(lambda: hints.send("monitoring.bulk", [task.pk], hints.STALE_SECONDS))
    return task


OPEN = (BulkTask.State.WAITING, BulkTask.State.RUNNING)


def stop(task: BulkTask) -> bool:
    """What is done stays done. A slice that runs at this moment is ended first."""
    stopped = BulkTask.objects.filter(pk=task.pk, state__in=OPEN)
    return bool(stopped.update(state=BulkTask.State.STOPPED, **_ended()))


def _ended() -> dict[str, Any]:
    now = timezone.now()
    return {"finished_at": now, "expires_at": now + KEPT, "leased_until": None}


def may(person: User, kind: str) -> list[int]:
    """The sellers for whose orders this person may do it now."""
    needed = Permission.LOOK if kind == Kind.EXPORT else Permission.WORK
    return [place.seller_id for place in memberships_of(person) if allows(place, needed)] if person.is_active else []


def readable(task: BulkTask) -> QuerySet[Order]:
    """Of the task's sellers those for which the person may still do it."""
    allowed = set(may(task.person, task.kind))
    return Order.objects.filter(seller__in=[pk for pk in task.sellers if pk in allowed])


def orders_of(task: BulkTask) -> QuerySet[Order]:
    """All orders the task is about, those that are done, too."""
    rows = readable(task).filter(pk__lte=task.last).order_by("pk")
    if ids := task.params.get("ids"):
        return rows.filter(pk__in=ids)
    return filters.filtered(rows, task.params.get("filter", {}), filters.Scope(task.sellers))


def in_lists_order(task: BulkTask) -> QuerySet[Order, int]:
    """Their keys, as the list has them."""
    rows = filters.in_order(orders_of(task), task.params.get("filter", {}), filters.Scope(task.sellers))
    return rows.values_list("pk", flat=True)


# --- Slices ----------------------------------------------------------------------------------------------------------


def claim(pk: int) -> BulkTask | None:
    """The task, for this worker alone for a while; None where another has it or nothing is left."""
    now = timezone.now()
    free = BulkTask.objects.filter(pk=pk, state__in=OPEN).filter(Q(leased_until=None) | Q(leased_until__lt=now))
    if not free.update(state=BulkTask.State.RUNNING, leased_until=now + LEASE):
        return None
    return BulkTask.objects.select_related("person").get(pk=pk)


def run_slice(pk: int) -> bool:
    """One slice. Whether there is more to do."""
    task = claim(pk)
    if task is None:
        return False
    with translation.override(task.params.get("language", "pt-br")):
        more = _export(task) if task.kind == Kind.EXPORT else _do(task)
        if not more:
            return _finish(task)
    _save(task, leased_until=None)
    return True


def _do(task: BulkTask) -> bool:
    rows = orders_of(task)
    if task.total is None:
        task.total = rows.order_by().count()
    some = list(rows.filter(pk__gt=task.cursor).select_related("seller", "channel__connection")[:SLICE])
    for order in some:
        _one(task, order)
    task.seen += len(some)
    task.cursor = some[-1].pk if some else task.cursor
    return len(some) == SLICE


def _export(task: BulkTask) -> bool:
    if task.total is None:
        task.total = files.plan(task, in_lists_order(task).iterator())
    part = task.parts.filter(number__gt=task.cursor).order_by("number").first()
    if part is None:
        return False
    task.changed += files.fill(task, readable(task), part)
    task.seen += len(part.orders)
    task.cursor = part.number
    return task.seen < task.total


def _one(task: BulkTask, order: Order) -> None:
    try:
        task.changed += bool(DEEDS[task.kind](order, task.person.get_username(), task.params))
    except Failure as failure:
        task.failed += 1
        if len(task.errors) < ERRORS_KEPT:
            task.errors = [*task.errors, {"order": order.pk, "number": order.external_id, "text": str(failure)}]


def _save(task: BulkTask, **more: Any) -> None:
    """Somebody may have stopped it meanwhile: that stays."""
    columns = {name: getattr(task, name) for name in ("total", "seen", "changed", "failed", "errors", "cursor")}
    BulkTask.objects.filter(pk=task.pk).update(**columns, **more)


def _finish(task: BulkTask) -> bool:
    with transaction.atomic():
        if task.kind == Kind.EXPORT and task.params.get("format") == files.XLSX:
            files.make_workbook(task)
        _save(task)
    done = BulkTask.objects.filter(pk=task.pk, state=BulkTask.State.RUNNING)
    if done.update(state=BulkTask.State.DONE, **_ended()):
        tell(task)
    return False


def tell(task: BulkTask) -> None:
    """A line in the log of each seller."""
    facts = {"count": task.changed, "name": task.params.get("tag") or task.params.get("format") or ""}
    for seller in Seller.objects.filter(pk__in=task.sellers):
        record(task.person.get_username(), f"bulk_{task.kind}", seller, after=facts)


def run(seconds: float, stopping: Callable[[], bool], pk: int | None = None) -> None:
    """All open tasks in turns, a slice each, so that a long one holds up no short one."""
    ends = timezone.now() + timedelta(seconds=seconds)
    waiting = [pk] if pk is not None else list(BulkTask.objects.filter(state__in=OPEN).values_list("pk", flat=True))
    while waiting and timezone.now() < ends and not stopping():
        waiting = [one for one in waiting if run_slice(one)]


def prune() -> int:
    """Finished tasks with their files. Returns how many."""
    return BulkTask.objects.filter(expires_at__lt=timezone.now()).delete()[0]


# --- Deeds: each for one order, by this person; true where something changed ------------------------------------------


def _tag(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    return doors.tag(order, params["tag"], actor)


def _untag(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    return doors.untag(order, params["tag"], actor)


def _hold(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    waits = order.status in (OrderStatus.PENDING, OrderStatus.APPROVED) and order.exported_at is None
    return waits and doors.hold(order, actor)


def _release(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    holds = order.active_holds
    if holds:
        actions.release(order, holds, actor)
    return bool(holds)


def _retry(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    return bool(actions.retry_all(Job.objects.filter(FAILED, order=order), actor))


def _dispatch(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    if dispatch.by_hand(order) is not None:
        return False
    dispatch.mark(order, actor, params.get("carrier", ""))
    return True


def _assign(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    """Of several sellers' orders those alone that the person belongs to."""
    if params["assignee"] is None:
        return doors.assign(order, None, actor)
    taker = workers_of([order.seller_id]).filter(pk=params["assignee"]).first()
    return taker is not None and doors.assign(order, taker, actor)


def _rule(order: Order, actor: str, params: Mapping[str, Any]) -> bool:
    rule = Rule.objects.filter(pk=params["rule"], seller=order.seller_id).in_force().first()
    return rule is not None and doors.apply_rule(order, rule, actor)


DEEDS: Mapping[str, Callable[[Order, str, Mapping[str, Any]], bool]] = {
    Kind.TAG: _tag,
    Kind.UNTAG: _untag,
    Kind.HOLD: _hold,
    Kind.RELEASE: _release,
    Kind.RETRY: _retry,
    Kind.DISPATCH: _dispatch,
    Kind.ASSIGN: _assign,
    Kind.RULE: _rule,
}


def tag_problem(tag: str) -> str:
    """Why this cannot be a tag, as a sentence; empty where it can."""
    if not tag:
        return _("Say which tag.")
    if len(tag) > LONGEST_TAG or not tag.isprintable():
        return _("A tag has at most %(count)s letters.") % {"count": LONGEST_TAG}
    return ""
