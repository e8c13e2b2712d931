"""Whatever order facts come in, however often and in which pages: one and the same order comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Model, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import doors
from orders.documents import DispatchDocument, Milestones, OrderDocument, Payment, Shipment
from orders.ingest import ingest
from orders.models import LineEvent, Order, SalesChannel
from orders.vocabulary import PaymentStatus, ShipmentStatus
from tests.orders.factory import NOW, at, channel, document, invoice, item

pytestmark = pytest.mark.django_db

moments = st.one_of(st.none(), st.integers(0, 5000).map(at))
milestones = st.builds(Milestones, **dict.fromkeys(Milestones.model_fields, moments))
HISTORY = {"id", "order", "item", "seller", "channel", "created_at", "changed_at", "sealed_xml", "answered_at"}


@st.composite
def lines(draw: Callable[..., Any]) -> tuple[Any, ...]:
    ids = draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
    return tuple(
        item(
            external_id,
            quantity=Decimal(quantity := draw(st.integers(1, 4))),
            discount=Decimal(draw(st.sampled_from(["0", "0.10"]))),
            cancelled=Decimal(draw(st.integers(0, quantity))),
            refunded=Decimal(draw(st.integers(0, quantity))),
            returned=Decimal(draw(st.integers(0, 1))),
        )
        for external_id in ids
    )


payments = st.lists(
    st.builds(
        Payment,
        external_id=st.sampled_from("pq"),
        amount=st.sampled_from([Decimal("1.00"), Decimal("25.50")]),
        status=st.sampled_from(PaymentStatus),
    ),
    unique_by=lambda payment: payment.external_id,
).map(tuple)
shipments = st.lists(
    st.builds(
        Shipment,
        external_id=st.sampled_from("st"),
        status=st.sampled_from(ShipmentStatus),
        shipped_at=moments,
        delivered_at=moments,
    ),
    unique_by=lambda shipment: shipment.external_id,
).map(tuple)


@st.composite
def histories(draw: Callable[..., Any]) -> list[OrderDocument]:
    versions = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True))
    return [
        document(
            version=version,
            external_ids=draw(st.lists(st.sampled_from(["m1", "m2", "m3"]), unique=True).map(tuple)),
            items=draw(lines()),
            payments=draw(payments),
            shipments=draw(shipments),
            milestones=draw(milestones),
            ship_by=draw(moments),
            deliver_by=draw(moments),
            tags=draw(st.lists(st.sampled_from(["gift", "b2b"]), unique=True).map(tuple)),
            raw_status=draw(st.sampled_from(["paid", "new"])),
        )
        for version in versions
    ]


@dataclass(frozen=True)
class Dispatch:
    name: str
    shipped_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True)
class Issue:
    issued_at: datetime


dispatches = st.builds(Dispatch, st.sampled_from(["d1", "d2"]), st.integers(0, 5000).map(at), moments)
facts = st.one_of(dispatches, st.builds(Issue, st.just(at(77))))
Fact = OrderDocument | Dispatch | Issue


def replay(facts: Sequence[Fact], page: int) -> Order:
    """Facts in this order, documents that follow each other in pages; what an ERP says needs an order to say it of."""
    into = channel()
    early = [fact for fact in facts if not isinstance(fact, OrderDocument)]
    first = next(place for place, fact in enumerate(facts) if isinstance(fact, OrderDocument))
    early = [fact for fact in facts[:first] if not isinstance(fact, OrderDocument)]
    waiting: list[OrderDocument] = []
    for fact in [facts[first], *early, *facts[first + 1 :]]:
        if isinstance(fact, OrderDocument):
            waiting.append(fact)
        if waiting and (len(waiting) == page or not isinstance(fact, OrderDocument)):
            ingest(into, waiting, now=NOW)
            waiting = []
        if not isinstance(fact, OrderDocument):
            tell(into, fact)
    if waiting:
        ingest(into, waiting, now=NOW)
    return Order.objects.get(channel=into)


def tell(into: SalesChannel, fact: Dispatch | Issue) -> None:
    order = Order.objects.get(channel=into)
    if isinstance(fact, Issue):
        doors.record_invoice(order, invoice(into.pk, issued_at=fact.issued_at))
    else:
        parcel = DispatchDocument(
            external_id=fact.name, shipped_at=fact.shipped_at, delivered_at=fact.delivered_at, tracking_code="AA"
        )
        doors.record_dispatch(order, parcel)


def columns(row: Model) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in row._meta.fields if field.name not in HISTORY}


def state(order: Order) -> dict[str, Any]:
    return {
        "order": columns(order),
        "references": {reference.value for reference in order.references.all()},
        "items": {row.external_id: columns(row) for row in order.items.all()},
        "payments": {row.external_id: columns(row) for row in order.payments.all()},
        "shipments": {(row.source, row.external_id): columns(row) for row in order.shipments.all()},
        "invoices": order.invoices.count(),
    }


def assert_ledger_adds_up(order: Order) -> None:
    for row in order.items.all():
        for change in ("cancelled", "refunded", "returned"):
            events = LineEvent.objects.filter(item=row, change=change)
            assert (events.aggregate(sum=Sum("quantity"))["sum"] or 0) == getattr(row, change)


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data(), history=histories(), others=st.lists(facts, max_size=3))
def test_order_repetition_and_pages_do_not_matter(data: Any, history: list[OrderDocument], others: list[Any]) -> None:
    straight = replay([*sorted(history, key=lambda found: found.updated_at), *others], page=1)
    told: list[Fact] = [*history, *others]
    told += data.draw(st.lists(st.sampled_from(told), max_size=4))
    shuffled = replay(data.draw(st.permutations(told)), page=data.draw(st.integers(1, 4)))

    assert state(shuffled) == state(straight)
    assert_ledger_adds_up(straight)
    assert_ledger_adds_up(shuffled)
