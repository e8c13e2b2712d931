"""What a seller wants done with orders of a certain kind: when all of this is so, then that.

A rule acts once on an order: at the first news of it, before it leaves, that makes all conditions true. What it does is
like a person's word: no later document takes it back, and what a person undoes stays undone. Rules act in their order;
the first to name somebody, or a priority, decides that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orders.models import Order, OrderItem, Rule
from orders.vocabulary import Hold, OrderStatus

# What acting changes of an order.
COLUMNS = ("ruled", "own_tags", "tags", "boost", "assignee", "worth", "holds", "released_holds", "held")
BEFORE_LEAVING = (OrderStatus.PENDING, OrderStatus.APPROVED, OrderStatus.INVOICED)
# A SKU with this at its end stands for all that begin so.
ANY = "*"
COMPANY = "company"
CNPJ_LENGTH = 14


@dataclass(frozen=True)
class Facts:
    """What conditions are asked of."""

    order: Order
    items: Sequence[OrderItem]


# --- Conditions: of each, what it asks for as it is kept in `Rule.when` ----------------------------------------------


def _channels(wanted: list[int], facts: Facts) -> bool:
    return facts.order.channel_id in wanted


def _logistics(wanted: list[str], facts: Facts) -> bool:
    return facts.order.logistics in wanted


def _states(wanted: list[str], facts: Facts) -> bool:
    return facts.order.state in wanted


def _postal_codes(wanted: list[str], facts: Facts) -> bool:
    """Beginnings, digits alone."""
    digits = "".join(filter(str.isdigit, str(facts.order.ship_to.get("postal_code", ""))))
    return digits.startswith(tuple(wanted))


def _least(wanted: str, facts: Facts) -> bool:
    return facts.order.total >= Decimal(wanted)


def _most(wanted: str, facts: Facts) -> bool:
    return facts.order.total <= Decimal(wanted)


def _skus(wanted: list[str], facts: Facts) -> bool:
    """Any line of it that is left to deliver."""
    sold = {item.sku for item in facts.items if item.sku and item.left}
    begun = tuple(sku.removesuffix(ANY) for sku in wanted if sku.endswith(ANY))
    return any(sku in wanted or (begun and sku.startswith(begun)) for sku in sold)


def _pieces(wanted: int, facts: Facts) -> bool:
    return sum(item.left for item in facts.items) >= wanted


def _buyer(wanted: str, facts: Facts) -> bool:
    """Known by the document's length; one that is withheld is nobody's."""
    document = str(facts.order.buyer.get("document", ""))
    return bool(document) and (len(document) == CNPJ_LENGTH) == (wanted == COMPANY)


def _tags(wanted: list[str], facts: Facts) -> bool:
    return not set(wanted).isdisjoint(facts.order.tags)


CONDITIONS: Mapping[str, Callable[[Any, Facts], bool]] = {
    "channels": _channels,
    "logistics": _logistics,
    "states": _states,
    "postal_codes": _postal_codes,
    "least": _least,
    "most": _most,
    "skus": _skus,
    "pieces": _pieces,
    "buyer": _buyer,
    "tags": _tags,
}


def matches(rule: Rule, order: Order, items: Sequence[OrderItem]) -> bool:
    """A condition that is not known (of a newer version) is not true; a rule without any matches nothing."""
    facts = Facts(order, items)
    return bool(rule.when) and all(
        name in CONDITIONS and CONDITIONS[name](wanted, facts) for name, wanted in rule.when.items()
    )


# --- Acting ----------------------------------------------------------------------------------------------------------


def act(rules: Iterable[Rule], order: Order, items: Sequence[OrderItem]) -> list[Rule]:
    """Changes the order in memory; those that have acted. `rules` as `in_force` gives them."""
    if order.status not in BEFORE_LEAVING:
        return []
    acted = []
    for rule in rules:
        # One by one: a tag of the first may be what the second asks for.
        if rule.pk not in order.ruled and matches(rule, order, items):
            _apply(rule, order)
            acted.append(rule)
    return acted


def _apply(rule: Rule, order: Order) -> None:
    order.ruled = [*order.ruled, rule.pk]
    order.own_tags = list(dict.fromkeys((*order.own_tags, *rule.tags)))
    order.tags = list(dict.fromkeys((*order.tags, *rule.tags)))
    order.boost = order.boost or rule.boost
    if order.assignee_id is None and rule.assignable:
        order.assignee_id = rule.assignee_id
    order.worth = None
    if rule.hold and order.exported_at is None and order.status != OrderStatus.INVOICED:
        _hold(order)


def _hold(order: Order) -> None:
    """Another rule may hold again what was released in spite of the first."""
    hold = Hold.RULE.value
    order.holds = [*(one for one in order.holds if one != hold), hold]
    order.released_holds = [one for one in order.released_holds if one != hold]
    order.held = True


def told(rule: Rule) -> dict[str, str]:
    """Of the timeline's line: its name, and why it holds."""
    return {"rule": rule.name, "reason": rule.reason if rule.hold else ""}
