"""What the hub tells Mercado Livre: each step once, and the same answer when it is asked again."""

import time
from typing import Any

import pytest

from connectors.channels.mercado_livre import SERVICE
from connectors.channels.mercado_livre.adapter import explain
from connectors.contract import Outcome, ShipmentRef
from connectors.failures import Category, Failure, NotYet, Refusal
from orders.documents import InvoiceDocument

from .wire import NO_SHIPMENT, Wire, invoice, key, wire

PARCEL = ShipmentRef("", carrier="Jadlog", tracking_code="JD1", tracking_url="https://jadlog.example/JD1")


def placed(line: Wire, logistic: str, **options: Any) -> Any:
    return line.order(line.simulator.place(logistic=logistic, **options)[0])


# Invoices


def test_an_import_releases_the_label() -> None:
    with wire() as line:
        order = placed(line, "cross_docking", orders=2)
        assert line.adapter.send_invoice(order, invoice(), NO_SHIPMENT).outcome is Outcome.ACCEPTED
        sent = line.calls("invoice")[0]
        assert sent.url.endswith(f"/shipments/{order.shipments[0].external_id}/invoice_data/?siteId=MLB")
        assert line.simulator.snapshot()[order.external_id]["invoice_key"] == key(1)
        assert line.order(order.external_id).shipments[0].raw_status == "ready_to_ship/ready_to_print"


def test_the_same_invoice_again_is_known_and_another_is_refused() -> None:
    with wire(carrier_after=60) as line:
        order = placed(line, "cross_docking")
        line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)
        assert line.adapter.send_invoice(order, invoice(), NO_SHIPMENT).outcome is Outcome.ALREADY
        # As long as ML's own papers are not made, the shipment still seems to wait for the invoice.
        line.shipment_of(order)["substatus"] = "invoice_pending"
        assert line.adapter.send_invoice(order, invoice(), NO_SHIPMENT).outcome is Outcome.ALREADY
        with pytest.raises(Refusal, match=key(1)):
            line.adapter.send_invoice(order, invoice(2), NO_SHIPMENT)


def test_before_its_time_the_invoice_waits() -> None:
    with wire(ready_after=60) as line:
        order = placed(line, "cross_docking")
        with pytest.raises(NotYet):
            line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)
        assert not line.simulator.invoices


def test_a_shipment_that_left_without_our_invoice_is_a_persons_matter() -> None:
    with wire() as line:
        order = placed(line, "cross_docking")
        line.simulator.move(order.shipments[0].external_id, "shipped")
        with pytest.raises(Refusal, match="no invoice any more"):
            line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)


@pytest.mark.parametrize("fault", ["cut_after", "502_after"])
@pytest.mark.parametrize("logistic", ["cross_docking", "self_service"])
def test_an_unanswered_invoice_is_uncertain_and_found_again(fault: str, logistic: str) -> None:
    with wire() as line:
        order = placed(line, logistic)
        line.fault(fault, "POST .*(invoice_data|fiscal_documents)")
        with pytest.raises(Failure) as caught:
            line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)
        assert caught.value.uncertain
        assert len(line.calls("invoice")) == 1
        assert line.adapter.send_invoice(order, invoice(), NO_SHIPMENT).outcome is Outcome.ALREADY


def test_flex_and_own_carriers_get_the_file_attached() -> None:
    with wire() as line:
        for number, logistic in enumerate(("self_service", "default"), 1):
            order = placed(line, logistic)
            receipt = line.adapter.send_invoice(order, invoice(number), NO_SHIPMENT)
            assert receipt.outcome is Outcome.ACCEPTED and receipt.external_id
            assert line.simulator.snapshot()[order.external_id]["invoice_key"] == key(number)
            with pytest.raises(Refusal, match="another file"):
                line.adapter.send_invoice(order, invoice(9), NO_SHIPMENT)


def test_full_invoices_itself() -> None:
    with wire() as line:
        order = placed(line, "fulfillment")
        assert line.adapter.send_invoice(order, invoice(), NO_SHIPMENT).outcome is Outcome.NOT_NEEDED


@pytest.mark.parametrize(
    "xml",
    [b"", b"<NFe/>", b"<nfeProc><tpAmb>2</tpAmb></nfeProc>", b"<nfeProc>" + b"x" * 1_100_000],
    ids=["none", "no authorisation", "a test", "too large"],
)
def test_what_would_be_refused_is_not_sent(xml: bytes) -> None:
    with wire() as line:
        order = placed(line, "cross_docking")
        with pytest.raises(Refusal):
            line.adapter.send_invoice(order, InvoiceDocument(key=key(1), xml=xml), NO_SHIPMENT)
        assert not line.calls("invoice")


def test_a_key_of_another_shipment_is_refused_by_its_code() -> None:
    with wire() as line:
        line.adapter.send_invoice(placed(line, "cross_docking"), invoice(), NO_SHIPMENT)
        with pytest.raises(Failure, match="another shipment") as caught:
            line.adapter.send_invoice(placed(line, "cross_docking"), invoice(), NO_SHIPMENT)
        assert (caught.value.category, caught.value.uncertain) == (Category.REJECTED, False)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "bad_request", "cause": [{"code": "wrong_receiver_cpf"}]},
        {"error_code": "wrong_receiver_cpf", "status_code": 400},
        {"message": "wrong_receiver_cpf", "error": "bad_request"},
        {"code": "wrong_receiver_cpf"},
        {"error": "wrong_receiver_cpf", "cause": []},
        {"cause": ["wrong_receiver_cpf"]},
    ],
)
def test_the_code_is_found_wherever_it_stands(body: Any) -> None:
    code, _ = explain(body)
    assert code == "wrong_receiver_cpf"
    assert SERVICE.failures.verdict(400, code).category is Category.REJECTED


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (400, "shipment_already_being_processed", Category.TRANSIENT),
        (400, "internal_error", Category.TRANSIENT),
        (400, "invalid_grant", Category.AUTH),
        (429, "local_rate_limited", Category.RATE_LIMITED),
        (400, "shipment_mode_is_not_me1", Category.BUG),
        (400, "something_new", Category.REJECTED),
        (404, "", Category.TRANSIENT),
        (403, "", Category.REJECTED),
        (401, "", Category.AUTH),
        (503, "", Category.TRANSIENT),
    ],
)
def test_what_errors_mean(status: int, code: str, category: Category) -> None:
    assert SERVICE.failures.verdict(status, code).category is category


@pytest.mark.parametrize("body", [None, [], "no", {"error": None}])
def test_an_error_without_words_has_no_code(body: Any) -> None:
    assert explain(body) == ("", "")


# Dispatch and delivery


@pytest.mark.parametrize("logistic", ["cross_docking", "self_service", "fulfillment"])
def test_mercado_livre_moves_its_own_parcels(logistic: str) -> None:
    with wire(carrier_after=60) as line:
        order = placed(line, logistic)
        line.exchanges.clear()
        assert line.adapter.send_dispatch(order, PARCEL).outcome is Outcome.NOT_NEEDED
        assert line.adapter.send_delivery(order, PARCEL).outcome is Outcome.NOT_NEEDED
        assert not line.exchanges


def test_an_own_carriers_parcel_is_reported_once() -> None:
    with wire() as line:
        order = placed(line, "default")
        assert line.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ACCEPTED
        state = line.simulator.snapshot()[order.external_id]
        assert state["dispatched"] and state["tracking_code"] == "JD1"
        assert line.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ALREADY
        assert line.adapter.send_delivery(order, PARCEL).outcome is Outcome.ACCEPTED
        assert line.adapter.send_delivery(order, PARCEL).outcome is Outcome.ALREADY
        assert line.order(order.external_id).milestones.delivered_at is not None


def test_a_code_without_address_is_left_out() -> None:
    with wire() as line:
        order = placed(line, "default")
        line.adapter.send_dispatch(order, ShipmentRef("", tracking_code="JD1"))
        assert "tracking_number" not in line.simulator.reported[order.shipments[0].external_id]


def test_a_custom_shipment_is_put() -> None:
    with wire() as line:
        external_id = line.simulator.place(logistic="default")[0]
        parcel = next(iter(line.simulator.shipments.values()))
        parcel["logistic"] = {"mode": "custom", "type": "custom"}
        order = line.order(external_id)
        assert line.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ACCEPTED
        assert line.calls("report")[0].method == "PUT"


@pytest.mark.parametrize("fault", ["cut_after", "502_after"])
def test_an_unanswered_report_is_uncertain_and_found_again(fault: str) -> None:
    with wire() as line:
        order = placed(line, "default")
        line.fault(fault, "seller_notifications")
        with pytest.raises(Failure) as caught:
            line.adapter.send_dispatch(order, PARCEL)
        assert caught.value.uncertain
        assert line.adapter.send_dispatch(order, PARCEL).outcome is Outcome.ALREADY


# Cancelling


def test_each_order_of_a_pack_is_cancelled_once() -> None:
    with wire() as line:
        order = placed(line, "cross_docking", orders=3)
        assert line.adapter.cancel(order, "sem estoque").outcome is Outcome.ACCEPTED
        assert len(line.simulator.feedbacks) == 3
        assert line.simulator.snapshot()[order.external_id]["cancelled"]
        assert line.adapter.cancel(order, "sem estoque").outcome is Outcome.ALREADY
        assert line.adapter.cancel(line.order(order.external_id), "again").outcome is Outcome.ALREADY


def test_another_feedback_from_before_is_no_cancellation() -> None:
    with wire() as line:
        order = placed(line, "cross_docking", orders=1)
        line.simulator.feedbacks[order.items[0].order_id] = {"fulfilled": True}
        with pytest.raises(Failure) as caught:
            line.adapter.cancel(order, "sem estoque")
        assert caught.value.category is Category.REJECTED


# Labels


def test_a_label_waits_for_the_invoice() -> None:
    with wire(carrier_after=60) as line:
        order = placed(line, "cross_docking")
        with pytest.raises(NotYet):
            line.adapter.label(order, NO_SHIPMENT)
        line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)
        label = line.adapter.label(order, NO_SHIPMENT)
        assert (label.content_type, label.filename.endswith(".pdf")) == ("application/pdf", True)


def test_a_label_is_what_came_not_what_was_asked_for() -> None:
    with wire({"label_format": "zpl2"}, carrier_after=60) as line:
        label = line.adapter.label(placed(line, "self_service"), NO_SHIPMENT)
        assert label.content_type == "application/zip"


def test_the_warehouse_prints_its_own_labels() -> None:
    with wire(carrier_after=60) as line, pytest.raises(Failure, match="own warehouse"):
        line.adapter.label(placed(line, "fulfillment"), NO_SHIPMENT)


# The simulated world


def test_a_parcel_goes_its_way_by_itself() -> None:
    with wire(carrier_after=0.02, deliver_after=0.02) as line:
        order = placed(line, "cross_docking")
        line.adapter.send_invoice(order, invoice(), NO_SHIPMENT)
        for _ in range(50):
            time.sleep(0.02)
            if line.simulator.snapshot()[order.external_id]["status"] == "delivered/":
                break
        document = line.order(order.external_id)
        assert document.milestones.shipped_at and document.milestones.delivered_at
