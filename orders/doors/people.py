"""What people decide about an order, and what they say of it."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from hub.tenancy import name_of
from orders import bulk, rules
from orders.documents import storable
from orders.doors.writing import append, append_all, lock
from orders.models import Order, OrderEvent, OrderItem, Rule
from orders.snapshot import SEARCH_LENGTH
from orders.tags import LOST
from orders.vocabulary import Hold, Source


@transaction.atomic(savepoint=False)
def hold(order: Order, actor: str, now: datetime | None = None) -> bool:
    """A person stops the order from going on. False if one had."""
    lock(order)
    if Hold.PERSON in order.active_holds:
        return False
    order.holds = [*(hold for hold in order.holds if hold != Hold.PERSON), Hold.PERSON.value]
    order.released_holds = [hold for hold in order.released_holds if hold != Hold.PERSON]
    _save_holds(order)
    append(order, "held", Source.PERSON, {"hold": Hold.PERSON.value}, actor, now)
    return True


@transaction.atomic(savepoint=False)
def release(order: Order, holds: Sequence[str], actor: str, now: datetime | None = None) -> list[str]:
    """A person overrules these reasons to wait, for good. Returns those that were active."""
    lock(order)
    released = [hold for hold in order.active_holds if hold in holds]
    if not released:
        return []
    order.released_holds = [*order.released_holds, *released]
    _save_holds(order)
    for reason in released:
        append(order, "released", Source.PERSON, {"hold": reason}, actor, now)
    return released


def called(sku: str) -> Q:
    """Lines that go to the ERP under this SKU."""
    by_channel = Q(erp_sku="", sku=sku)
    return by_channel | Q(erp_sku=sku) if sku else by_channel


@transaction.atomic(savepoint=False)
def correct_sku(orders: QuerySet[Order], sku: str, erp_sku: str, actor: str, now: datetime | None = None) -> int:
    """A person says what the ERP calls this SKU, for the lines that would go to it under `sku` now, of those of these
    orders that are not there yet. What the channel calls it stays. Returns how many orders have changed.
    """
    locked = orders.filter(exported_at=None).order_by("pk").select_for_update(of=("self",))
    known = {order.pk: order for order in locked}
    lines = list(OrderItem.objects.filter(called(sku), order__in=known))
    changed = sorted({line.order_id for line in lines})
    OrderItem.objects.filter(pk__in=[line.pk for line in lines]).update(erp_sku=storable(erp_sku))
    data = {"sku": sku, "erp_sku": erp_sku}
    append_all([(known[pk], data) for pk in changed], "sku_corrected", Source.PERSON, actor, now)
    return len(changed)


@transaction.atomic(savepoint=False)
def tag(order: Order, name: str, actor: str, code: str = "tagged", now: datetime | None = None) -> bool:
    """A person's word for the order. False if it had it."""
    lock(order)
    return _retag(order, name, [*(one for one in order.own_tags if one != name), name], code, actor, now)


@transaction.atomic(savepoint=False)
def untag(order: Order, name: str, actor: str, now: datetime | None = None) -> bool:
    """Takes a word away, the channel's too; that comes back with the channel's next document. False if it had none."""
    lock(order)
    return _retag(order, name, [one for one in order.own_tags if one != name], "untagged", actor, now)


def _retag(order: Order, name: str, own: list[str], code: str, actor: str, now: datetime | None) -> bool:
    given = name in own
    before = order.tags
    order.own_tags, order.tags = own, [*(one for one in before if one != name), *([name] if given else [])]
    if given == (name in before):
        order.save(update_fields=["own_tags"])
        return False
    # An important customer counts in the priority.
    order.worth = None
    order.save(update_fields=["own_tags", "tags", "worth", "changed_at"])
    append(order, code, Source.PERSON, {"tag": name}, actor, now)
    return True


@transaction.atomic(savepoint=False)
def assign(order: Order, person: User | None, actor: str, now: datetime | None = None) -> bool:
    """Who sees to it from now on; None: nobody. False if that was known."""
    lock(order)
    if order.assignee_id == (person.pk if person else None):
        return False
    order.assignee = person
    order.save(update_fields=["assignee", "changed_at"])
    told = {"name": name_of(person)} if person else {}
    append(order, "assigned" if person else "unassigned", Source.PERSON, told, actor, now)
    return True


@transaction.atomic(savepoint=False)
def apply_rule(order: Order, rule: Rule, actor: str, now: datetime | None = None) -> bool:
    """A person lets a rule (of `Rule.objects.in_force`) act on an order that was here before it. False where it has
    acted already, or does not match.
    """
    lock(order)
    held_before = order.active_holds
    if not rules.act([rule], order, list(order.items.all())):
        return False
    order.save(update_fields=[*rules.COLUMNS, "changed_at"])
    append(order, "ruled", Source.PERSON, rules.told(rule), actor, now)
    for hold in set(order.active_holds).difference(held_before):
        append(order, "held", Source.HUB, {"hold": hold}, now=now)
    return True


def declare_lost(order: Order, actor: str, now: datetime | None = None) -> bool:
    """A person says that the parcel will not arrive: nothing is expected of it any more. False if that was known."""
    return tag(order, LOST, actor, "declared_lost", now)


def _save_holds(order: Order) -> None:
    order.held = bool(order.active_holds)
    order.save(update_fields=["holds", "released_holds", "held", "changed_at"])


@transaction.atomic(savepoint=False)
def refer(ids: Collection[int], reference: str, now: datetime | None = None) -> None:
    """These orders are found by this number, too: it is what somebody made for them elsewhere."""
    reference = storable(reference)
    orders = list(Order.objects.filter(pk__in=ids).order_by("pk").select_for_update(of=("self",)))
    for order in orders:
        order.own_references = [*(one for one in order.own_references if one != reference), reference]
        order.search = f"{order.search} {reference.lower()}"[:SEARCH_LENGTH]
        order.changed_at = now or timezone.now()
    bulk.update(Order, orders, ("own_references", "search", "changed_at"))


def note(order: Order, text: str, actor: str, now: datetime | None = None) -> OrderEvent:
    """A person's remark."""
    return append(order, "note", Source.PERSON, {"text": text}, actor, now)
