"""Rules act once on each order, as a person's word would; what they ask is asked of the order as it is then."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.models import Membership, Seller
from orders import doors, priority
from orders.documents import Address, Buyer, Milestones
from orders.ingest import ingest
from orders.models import Order, Rule, SalesChannel
from orders.rules import matches
from orders.vocabulary import Hold, Logistics
from tests.orders.factory import NOW, START, at, channel, document, item, taken

pytestmark = pytest.mark.django_db
COMPANY = Buyer(name="Loja Ltda", document="11222333000181")
BIG = {"least": "30"}


def rule(into: SalesChannel, when: dict[str, Any], **then: Any) -> Rule:
    columns = {"name": "Rule", "position": Rule.objects.count(), **then}
    made = Rule.objects.create(seller=into.seller, when=when, **columns)
    # A task reads its channel, and so the rules, anew.
    into.__dict__.pop("rules", None)
    return made


def person(name: str, seller: Seller) -> User:
    user = User.objects.create(username=name)
    Membership.objects.create(user=user, seller=seller)
    return user


def now(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def codes(order: Order) -> list[str]:
    return [event.code for event in order.events.all()]


# --- What they ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "meets", "misses"),
    [
        ({"logistics": ["pickup"]}, {"logistics": Logistics.PICKUP}, {"logistics": Logistics.SELLER}),
        ({"states": ["RJ", "SP"]}, {}, {"ship_to": Address(state="PE", postal_code="50000000")}),
        ({"postal_codes": ["04", "0100"]}, {}, {"ship_to": Address(state="SP", postal_code="02010000")}),
        ({"postal_codes": ["01"]}, {"ship_to": Address(postal_code="01001-000")}, {"ship_to": None}),
        ({"least": "30.50"}, {}, {"items": (item("1"),)}),
        ({"most": "25.00"}, {"items": (item("1"),)}, {}),
        ({"skus": ["SKU-2", "X"]}, {}, {"items": (item("1"), item("3"))}),
        ({"skus": ["SKU-*"]}, {}, {"items": (item("1", sku="XSKU-1"),)}),
        ({"skus": ["SKU-1"]}, {}, {"items": (item("1", cancelled=Decimal(2)), item("2"))}),
        ({"pieces": 3}, {}, {"items": (item("1"),)}),
        ({"buyer": "company"}, {"buyer": COMPANY}, {}),
        ({"buyer": "person"}, {}, {"buyer": COMPANY}),
        ({"buyer": "person"}, {}, {"buyer": Buyer(name="Withheld")}),
        ({"tags": ["b2b", "gift"]}, {"tags": ("gift",)}, {"tags": ("gifts",)}),
        ({"states": ["SP"], "least": "30"}, {}, {"items": (item("1"),)}),
        ({"of tomorrow": 1}, None, {}),
        ({}, None, {}),
    ],
)
def test_what_a_condition_asks(when: dict[str, Any], meets: dict[str, Any] | None, misses: dict[str, Any]) -> None:
    into = channel()
    made = rule(into, when)
    for columns, wanted in ((meets, True), (misses, False)):
        if columns is None:
            continue
        order = taken(into, document(f"S-{wanted}", **columns)).order
        assert matches(made, order, list(order.items.all())) is wanted


def test_the_channel_itself() -> None:
    into = channel()
    other = SalesChannel.objects.create(seller=into.seller, kind="shop", name="Other")
    rule(into, {"channels": [into.pk]}, tags=["mine"])
    assert taken(into, document()).order.tags == ["mine"]
    assert taken(other, document()).order.tags == []


def test_rules_of_another_seller_or_switched_off_are_not_asked() -> None:
    into = channel()
    rule(channel(), BIG, tags=["theirs"])
    rule(into, BIG, tags=["off"], active=False)
    assert taken(into, document()).order.tags == []


# --- What they do ----------------------------------------------------------------------------------------------------


def test_all_that_a_rule_can_do() -> None:
    into = channel()
    ana = person("ana", into.seller)
    made = rule(into, BIG, name="Big", tags=["check"], boost=30, assignee=ana, hold=True, reason="Call them")
    order = now(taken(into, document(tags=("gift",))).order)
    assert (order.tags, order.own_tags) == (["gift", "check"], ["check"])
    assert (order.boost, order.assignee, order.ruled) == (30, ana, [made.pk])
    assert (order.held, order.holds) == (True, [Hold.RULE])
    told = {event.code: event.data for event in order.events.all()}
    assert told["ruled"] == {"rule": "Big", "reason": "Call them"} and told["held"] == {"hold": "rule"}


def test_it_acts_once_and_what_a_person_undoes_stays_undone() -> None:
    into = channel()
    rule(into, BIG, tags=["check"], hold=True, assignee=person("ana", into.seller))
    order = taken(into, document()).order
    doors.untag(order, "check", "bia")
    doors.release(order, [Hold.RULE], "bia")
    doors.assign(order, None, "bia")
    later = now(taken(into, document(version=1, notes="new")).order)
    assert (later.tags, later.held, later.assignee) == ([], False, None)
    assert codes(later).count("ruled") == 1


def test_what_it_did_outlives_the_channels_documents() -> None:
    into = channel()
    rule(into, {"states": ["SP"]}, tags=["check"], hold=True)
    taken(into, document())
    there = Address(state="PE", city="Recife", postal_code="50000000")
    order = now(taken(into, document(version=1, ship_to=there, tags=("gift",))).order)
    assert (order.state, order.tags, order.held) == ("PE", ["gift", "check"], True)


def test_it_acts_when_the_conditions_become_true() -> None:
    into = channel()
    rule(into, {"states": ["SP"]}, tags=["sp"])
    waiting = Milestones()
    first = taken(into, document(milestones=waiting, ship_to=None)).order
    assert first.tags == []
    assert taken(into, document(version=1)).order.tags == ["sp"]


def test_the_next_rule_sees_what_the_one_before_has_done() -> None:
    into = channel()
    ana, bia = person("ana", into.seller), person("bia", into.seller)
    rule(into, {"tags": ["check"]}, tags=["too early"], position=0)
    rule(into, BIG, tags=["check"], boost=30, assignee=ana, position=1)
    rule(into, {"tags": ["check"]}, tags=["second"], boost=-30, assignee=bia, position=2)
    order = now(taken(into, document()).order)
    assert (order.tags, order.boost, order.assignee) == (["check", "second"], 30, ana)


def test_somebody_who_has_left_is_not_given_any_more() -> None:
    into = channel()
    ana = person("ana", into.seller)
    rule(into, BIG, assignee=ana)
    Membership.objects.all().delete()
    assert now(taken(into, document()).order).assignee is None


@pytest.mark.parametrize("status", ["shipped", "delivered", "cancelled"])
def test_what_has_left_is_left_alone(status: str) -> None:
    into = channel()
    rule(into, BIG, tags=["check"])
    gone = Milestones(approved_at=START, **{f"{status}_at": at(5)})
    assert taken(into, document(milestones=gone)).order.tags == []


def test_what_is_in_the_erp_is_not_held_any_more() -> None:
    into = channel()
    order = taken(into, document()).order
    doors.mark_exported(order, "Bling", "7")
    rule(into, BIG, hold=True, tags=["check"])
    later = now(taken(into, document(version=1, notes="x")).order)
    assert (later.tags, later.held) == (["check"], False)


def test_another_rule_holds_again_what_was_released() -> None:
    into = channel()
    rule(into, BIG, hold=True)
    order = taken(into, document()).order
    doors.release(order, [Hold.RULE], "bia")
    rule(into, {"tags": ["gift"]}, hold=True)
    later = now(taken(into, document(version=1, tags=("gift",))).order)
    assert later.held and later.active_holds == [Hold.RULE]


def test_a_person_applies_one_to_an_order_that_is_here() -> None:
    into = channel()
    order, small = taken(into, document()).order, taken(into, document("S2", items=(item("1"),))).order
    priority.rank()
    rule(into, BIG, tags=["check"], hold=True)
    made = Rule.objects.in_force().get()
    assert doors.apply_rule(order, made, "bia") is True
    assert doors.apply_rule(order, made, "bia") is False
    assert doors.apply_rule(small, made, "bia") is False
    order = now(order)
    assert (order.tags, order.held, order.worth) == (["check"], True, None)
    assert codes(order)[-2:] == ["ruled", "held"] and order.events.filter(code="ruled").get().actor == "bia"


def test_a_rule_moves_an_order_in_the_priority() -> None:
    into = channel()
    rule(into, {"tags": ["first"]}, boost=30)
    plain, chosen = taken(into, document("A")).order, taken(into, document("B", tags=("first",))).order
    priority.rank()
    assert now(chosen).worth == pytest.approx((now(plain).worth or 0) + 30)
    ranked = Order.objects.annotate(score=priority.by_score([into.seller], NOW)).order_by("-score")
    assert [order.external_id for order in ranked] == ["B", "A"]
    reasons = priority.explain(now(plain), NOW, 3, 0, Decimal(150))
    assert priority.score(reasons, 30) == priority.score(reasons, 0) + 30 or priority.score(reasons, 30) == 100
    assert (priority.score(reasons, 100), priority.score(reasons, -100)) == (100, 0)


def test_rules_cost_one_statement_a_page_and_none_where_nothing_is_new() -> None:
    into = channel()
    rule(into, BIG, tags=["check"])
    documents = [document(f"S{number}") for number in range(20)]
    with CaptureQueriesContext(connection) as queries:
        ingest(into, documents, now=NOW)
    assert sum('"orders_rule"' in query["sql"] for query in queries) == 1
    into.__dict__.pop("rules")
    with CaptureQueriesContext(connection) as queries:
        ingest(into, documents, now=NOW)
    assert not any('"orders_rule"' in query["sql"] for query in queries)
    assert Order.objects.filter(own_tags=["check"]).count() == 20


def test_who_sees_to_it() -> None:
    into = channel()
    order, ana = taken(into, document()).order, person("ana", into.seller)
    assert doors.assign(order, ana, "bia") and not doors.assign(order, ana, "bia")
    assert now(order).assignee == ana
    assert doors.assign(order, None, "bia") and now(order).assignee is None
    assert codes(order)[-2:] == ["assigned", "unassigned"]
