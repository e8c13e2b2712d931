"""What a person says has left: the channel hears of it exactly once, and not of what was taken back in time."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.test import Client
from django.utils import timezone

from connectors import operations, planning
from connectors.contract import Outcome, Receipt
from connectors.failures import Refusal
from connectors.models import Job
from connectors.work import Desk
from monitoring.packing import dispatch
from orders import doors
from orders.documents import DispatchDocument
from orders.models import Answer, Order, OrderEvent, Shipment
from orders.vocabulary import Source
from tests.monitoring.packing import parcels
from tests.monitoring.world import World, text_of


class Shop:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def send_dispatch(self, order: Any, shipment: Any) -> Receipt:
        self.told.append((shipment.carrier, shipment.tracking_code))
        return Receipt(Outcome.ACCEPTED)


def tell(shop: Shop) -> None:
    """Every message that waits goes out, once."""
    for job in Job.objects.filter(operation="send_dispatch", state=Job.State.READY):
        _tell(shop, job)


def _tell(shop: Shop, job: Job) -> None:
    finished: list[Job] = []
    desk = cast(Desk, SimpleNamespace(adapter=shop, finish=finished.append))
    desk.together = lambda read, job: read(desk, [job]).get(job.pk)  # type: ignore[method-assign]
    desk.afterwards = lambda task, job, value: task(desk, [(job, value)])  # type: ignore[method-assign]
    operations.send_dispatch(desk, job)
    Job.objects.filter(pk__in=[one.pk for one in finished]).update(state=Job.State.DONE)


def from_erp(order: Order, number: str = "erp-1", code: str = "AA1") -> None:
    doors.record_dispatch(
        order, DispatchDocument(external_id=number, carrier="Jadlog", tracking_code=code, shipped_at=timezone.now())
    )
    planning.tell_channel([order])


@pytest.fixture
def order(world: World) -> Order:
    return parcels.to_send(world, "ML-1")


def codes(order: Order) -> list[str]:
    return list(OrderEvent.objects.filter(order=order).order_by("pk").values_list("code", flat=True))


def test_it_moves_the_order_and_says_who(order: Order) -> None:
    dispatch.mark(order, "ana", "Correios", "BR123")
    order.refresh_from_db()
    assert order.status == "shipped"
    told = OrderEvent.objects.get(order=order, code="dispatched")
    assert (told.actor, told.source, told.data) == ("ana", "person", {"carrier": "Correios", "code": "BR123"})


def test_the_channel_hears_after_the_time_to_take_back_and_once(order: Order) -> None:
    before = timezone.now()
    dispatch.mark(order, "ana", "Correios", "BR123")
    job = Job.objects.get(operation="send_dispatch")
    assert before + dispatch.TIME_TO_TAKE_BACK <= job.due_at <= timezone.now() + dispatch.TIME_TO_TAKE_BACK
    planning.tell_channel([order])
    shop = Shop()
    tell(shop)
    planning.tell_channel([order])
    tell(shop)
    assert shop.told == [("Correios", "BR123")]
    assert Shipment.objects.get(source="person").answer == Answer.ACCEPTED


def test_a_second_press_changes_nothing(order: Order) -> None:
    dispatch.mark(order, "ana")
    with pytest.raises(Refusal):
        dispatch.mark(order, "ana")
    assert Shipment.objects.count() == 1


@pytest.mark.parametrize("told_before", [True, False])
def test_the_erp_s_report_of_the_same_parcel_tells_nothing_twice(order: Order, told_before: bool) -> None:
    shop = Shop()
    dispatch.mark(order, "ana", "Correios", "BR123")
    if told_before:
        tell(shop)
    from_erp(order)
    from_erp(order)
    tell(shop)
    assert len(shop.told) == 1
    assert list(Shipment.objects.values_list("source", "external_id", "tracking_code")) == [("erp", "erp-1", "AA1")]


def test_a_second_parcel_of_the_erp_is_one_of_its_own(order: Order) -> None:
    dispatch.mark(order, "ana", "Correios", "BR123")
    from_erp(order, "erp-2", "OTHER")
    from_erp(order, "erp-1", "BR123")
    shop = Shop()
    tell(shop)
    assert sorted(code for _carrier, code in shop.told) == ["BR123", "OTHER"]


def test_taken_back_in_time_it_never_happened(order: Order) -> None:
    dispatch.mark(order, "ana")
    dispatch.take_back(order, "bia")
    order.refresh_from_db()
    assert (order.status, order.shipped_at) == ("invoiced", None)
    assert not Shipment.objects.exists()
    assert not Job.objects.filter(operation="send_dispatch").exists()
    assert codes(order)[-1] == "dispatch_taken_back"
    dispatch.mark(order, "ana", "Correios", "BR9")
    shop = Shop()
    tell(shop)
    assert shop.told == [("Correios", "BR9")]


@pytest.mark.parametrize(
    "change", [{"state": Job.State.RUNNING}, {"attempts": 1}, {"uncertain": True}, {"state": "done"}]
)
def test_once_the_channel_is_being_told_it_stays(order: Order, change: dict[str, Any]) -> None:
    dispatch.mark(order, "ana")
    Job.objects.filter(operation="send_dispatch").update(**change)
    with pytest.raises(Refusal):
        dispatch.take_back(order, "ana")
    order.refresh_from_db()
    assert order.status == "shipped"
    assert Shipment.objects.exists()
    assert Job.objects.filter(operation="send_dispatch").exists()


def test_what_somebody_else_said_too_is_not_taken_back(order: Order) -> None:
    dispatch.mark(order, "ana")
    Shipment.objects.create(order=order, source="channel", external_id="1", shipped_at=timezone.now())
    with pytest.raises(Refusal):
        dispatch.take_back(order, "ana")
    assert Job.objects.filter(operation="send_dispatch").exists(), "what was not taken back is still told"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "cancelled", "cancelled_at": timezone.now()},
        {"status": "pending"},
        {"status": "shipped", "shipped_at": timezone.now()},
        {"held": True, "holds": ["person"]},
        {"logistics": "fulfilled"},
    ],
)
def test_what_must_not_leave_does_not(world: World, changes: dict[str, Any]) -> None:
    order = parcels.to_send(world, "NO", **changes)
    with pytest.raises(Refusal):
        dispatch.mark(order, "ana")
    assert not Shipment.objects.exists()


def test_the_channel_s_tracking_code_is_taken_over(order: Order) -> None:
    parcels.parcel(order, tracking_code="ME42")
    assert dispatch.mark(order, "ana").tracking_code == "ME42"


def test_by_the_order_s_page(order: Order, owner: Client, viewer: Client, stranger: Client) -> None:
    for address in ("dispatch", "dispatch/undo"):
        assert viewer.post(f"/orders/{order.pk}/{address}/").status_code == 403
        assert stranger.post(f"/orders/{order.pk}/{address}/").status_code == 404
    owner.post(f"/orders/{order.pk}/dispatch/", {"tracking_code": " BR1 ", "carrier": "Correios"})
    assert Shipment.objects.get(source=Source.PERSON).tracking_code == "BR1"
    owner.post(f"/orders/{order.pk}/dispatch/undo/")
    assert not Shipment.objects.exists()
    assert "Too late" in text_of(owner.post(f"/orders/{order.pk}/dispatch/undo/", follow=True))


def test_a_delivery_that_came_meanwhile_stays(order: Order) -> None:
    parcel = dispatch.mark(order, "ana")
    order.refresh_from_db()
    Order.objects.filter(pk=order.pk).update(delivered_at=timezone.now() + timedelta(hours=1))
    assert not doors.take_back_dispatch(parcel, "ana")
