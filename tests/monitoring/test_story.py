"""Who must move next: a table of situations, each reached as the hub reaches it, and the one list of what happened."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone, translation

from connectors.models import Connection, Exchange, Job, Link
from monitoring import history, story
from orders import doors
from orders.documents import DispatchDocument, InvoiceDocument
from orders.invoices import key_digit
from orders.models import Answer, Order
from orders.vocabulary import Source
from tests.monitoring.world import World, text_of

_BODY = "3526111234567800019555001000001234100001234"
KEY = f"{_BODY}{key_digit(_BODY)}"


def move(order: Order) -> story.Move | None:
    fresh = Order.objects.get(pk=order.pk)
    erps = list(Connection.objects.filter(seller=fresh.seller, role="erp"))
    with translation.override("en"):
        return story.next_move(story.Facts(fresh, list(fresh.jobs.select_related("connection")), erps))


def invoiced(world: World, **changes: object) -> Order:
    order = world.exported("1", invoiced_at=timezone.now(), status="invoiced", **changes)
    order.invoices.create(seller_id=order.seller_id, key=KEY, number="1234")
    return order


def dispatched(world: World) -> Order:
    order = invoiced(world, ship_by=timezone.now())
    document = DispatchDocument(external_id="d1", carrier="Jadlog", tracking_code="JD1", shipped_at=timezone.now())
    doors.record_dispatch(order, document)
    return order


def held(world: World, hold: str) -> Order:
    return world.order("1", held=True, holds=[hold])


def with_export(world: World, state: str, **changes: object) -> Order:
    order = world.order("1")
    world.export_job(order, state, **changes)
    return order


def resting(world: World) -> Order:
    Connection.objects.filter(pk=world.erp.pk).update(rest_until=timezone.now() + timedelta(minutes=1))
    return world.order("1")


def signed_out(world: World) -> Order:
    Connection.objects.filter(pk=world.erp.pk).update(state=Connection.State.SIGN_IN)
    return world.order("1")


def without_erp(world: World) -> Order:
    world.erp.delete()
    return world.order("1")


def refused_invoice(world: World) -> Order:
    order = invoiced(world)
    doors.record_answer(order.invoices.get(), Answer.REFUSED, "The key is of another CNPJ.")
    return order


def cancelled_in_time(world: World) -> Order:
    return world.exported("1", status="cancelled", cancelled_at=timezone.now())


def coming_back(world: World) -> Order:
    return world.exported("1", status="shipped", shipped_at=timezone.now(), cancelled_at=timezone.now())


def parted(world: World) -> Order:
    order = world.exported("1")
    Job.objects.create(
        connection=world.erp, operation="change_erp", key="order:1:1", order=order, state=Job.State.REFUSED,
        error="Cancelled at the channel after the order went to the ERP: 1 × A.", failed_since=timezone.now(),
    )  # fmt: skip
    return order


SITUATIONS: list[tuple[Callable[[World], Order], str, str]] = [
    (lambda world: world.order("1", "pending"), "buyer", "pays"),
    (lambda world: held(world, "fraud"), "channel", "check for fraud"),
    (lambda world: held(world, "masked"), "channel", "buyer's data"),
    (lambda world: held(world, "money"), "seller", "amounts"),
    (lambda world: held(world, "person"), "seller", "release"),
    (without_erp, "seller", "connect an ERP"),
    (signed_out, "seller", "sign in to"),
    (resting, "erp", "answers again"),
    (lambda world: world.order("1"), "hub", "writes the order"),
    (lambda world: with_export(world, "refused"), "seller", "No product has SKU CAF-500."),
    (lambda world: with_export(world, "closed"), "erp", "issues the invoice"),
    (lambda world: with_export(world, "unknown"), "hub", "the answer got lost"),
    (lambda world: with_export(world, "ready", category="transient", error="Away."), "erp", "Away."),
    (lambda world: world.exported("1"), "erp", "issues the invoice"),
    (parted, "seller", "Cancelled at the channel after"),
    (refused_invoice, "seller", "correct the invoice: The key is of another CNPJ."),
    (invoiced, "warehouse", "packs and dispatches"),
    (lambda world: world.exported("1", logistics="fulfilled"), "channel", "ships from its own warehouse"),
    (dispatched, "carrier", "delivers"),
    (cancelled_in_time, "erp", "cancels its order"),
    (coming_back, "carrier", "comes back"),
]


@pytest.mark.parametrize(("situation", "party", "expected"), SITUATIONS)
def test_who_must_move(world: World, situation: Callable[[World], Order], party: str, expected: str) -> None:
    found = move(situation(world))
    assert found is not None
    assert (found.party, expected in found.expected) == (party, True), found.expected
    # Others get a letter, which names no buyer.
    assert bool(found.message) == (party not in ("hub", "seller"))
    assert "Joana" not in found.message


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "delivered", "delivered_at": timezone.now(), "shipped_at": timezone.now()},
        {"status": "returned", "returned_at": timezone.now(), "exported_at": None},
    ],
)
def test_nothing_is_expected_of_an_order_that_has_ended(world: World, changes: dict[str, object]) -> None:
    order = invoiced(world)
    Order.objects.filter(pk=order.pk).update(**changes)
    assert move(order) is None


def test_a_cancelled_order_is_settled_when_the_erp_has_cancelled_too(world: World) -> None:
    order = cancelled_in_time(world)
    Link.objects.filter(order=order).update(cancelled=True)
    assert move(order) is None


def test_the_next_attempt_and_the_deadline_are_named(world: World) -> None:
    due = timezone.now() + timedelta(minutes=7)
    order = with_export(world, "ready", category="transient", error="Away.", due_at=due)
    Order.objects.filter(pk=order.pk).update(ship_by=timezone.now() - timedelta(hours=1))
    found = move(order)
    assert found is not None
    assert found.next_at == due
    assert found.tone == "red"


# --- What happened -------------------------------------------------------------------------------------------------


def read(world: World, order: Order, minutes_ago: int, error: str = "") -> None:
    job, _made = Job.objects.get_or_create(connection=world.erp, operation="read_erp", key="1", order=order)
    for path in ("orders/1", "invoices/1"):
        Exchange.objects.create(
            connection=world.erp, order=order, job=job, operation=path, method="GET", url=path, status=200, error=error,
            started_at=timezone.now() - timedelta(minutes=minutes_ago),
        )  # fmt: skip


def lines(order: Order) -> list[str]:
    with translation.override("en"):
        calls = order.exchanges.select_related("job").order_by("-started_at")
        return [line.text for line in history.history(order, calls, [])]


def test_equal_looks_are_one_line_and_notes_stay_visible(world: World) -> None:
    order = world.exported("1")
    for minutes in range(300, 110, -2):
        read(world, order, minutes)
    doors.note(order, "The buyer called.", "ana", now=timezone.now() - timedelta(minutes=100))
    read(world, order, 90)
    read(world, order, 80, "Away.")
    said = lines(order)
    name = "Read the order from the ERP"
    assert said == [
        f"{name}: checked 95 times, no change.",
        "The buyer called.",
        f"{name}: checked 1 time, no change.",
        f"{name}: no success. Away.",
    ]


def test_a_look_that_brought_news_says_so(world: World) -> None:
    order = world.exported("1")
    read(world, order, 0)
    doors.append(order, "erp_cancelled", Source.ERP, {"number": "7"})
    assert lines(order) == ["Read the order from the ERP: there was news.", "The ERP cancelled its order 7."]


def test_the_page_shows_the_move_the_letter_and_one_kind_of_history(owner: Client, world: World) -> None:
    order = world.exported("1")
    world.call(order)
    doors.note(order, "Call first.", "ana")
    page = text_of(owner.get(f"/orders/{order.pk}/"))
    assert "issues the invoice" in page
    assert "In the ERP: N1" in page
    assert "Call first." in page
    people = owner.get(f"/orders/{order.pk}/?history=person")
    assert [line.text for line in people.context["history"]] == ["Call first."]


def test_an_invoice_and_a_dispatch_are_told_in_the_same_list(world: World) -> None:
    order = world.exported("1")
    document = InvoiceDocument(key=KEY, number="1234", series="1", issued_at=timezone.now())
    doors.record_invoice(order, document, seller_tax_ids=[])
    with translation.override("en"):
        assert any(text.startswith("Invoice 1234 received") for text in lines(order))
