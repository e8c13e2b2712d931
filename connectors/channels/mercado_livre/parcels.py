"""Parcels: Mercado Livre's shipments, and who carries them."""

from connectors.channels.mercado_livre import words
from connectors.channels.mercado_livre.sale import Sale
from connectors.reading import Reader
from orders.documents import Shipment
from orders.vocabulary import Logistics, ShipmentStatus


def parcel(sale: Sale, one: Reader) -> Shipment:
    shipment = one.object("shipment")
    status = _status(shipment)
    when = shipment.moment("last_updated", None)
    gone = status in (ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNED)
    return Shipment(
        external_id=shipment.text("id"),
        raw_status=raw_status(shipment),
        status=status,
        exception=_exception(sale, shipment),
        service=shipment.text("lead_time.shipping_method.name", "")[:120],
        carrier=(one.maybe("carrier").text("name", "") or shipment.text("tracking_method", ""))[:120],
        tracking_code=shipment.text("tracking_number", "")[:120],
        tracking_url=one.maybe("carrier").text("url", "")[:2000],
        ship_by=one.maybe("sla").moment("expected_date", None),
        deliver_by=shipment.moment("lead_time.estimated_delivery_time.date", None),
        # The document has no history: the first time it is seen in this state is the nearest there is.
        shipped_at=when if gone else None,
        delivered_at=when if status == ShipmentStatus.DELIVERED else None,
    )


def _status(shipment: Reader) -> ShipmentStatus:
    status = shipment.word("status", words.SHIPMENT, ShipmentStatus.UNKNOWN)
    substatus = shipment.text("substatus", "")
    if status == ShipmentStatus.READY and substatus in words.ON_THE_WAY:
        return ShipmentStatus.SHIPPED
    if shipment.text("status", "") == "not_delivered" and substatus in words.BACK:
        return ShipmentStatus.RETURNED
    return status


def _exception(sale: Sale, shipment: Reader) -> str:
    status, substatus = shipment.text("status", ""), shipment.text("substatus", "")
    if status == "cancelled" and not sale.cancelled:
        return f"The shipment is cancelled and the sale is not: {substatus}"[:255]
    if status == "not_delivered" or substatus in words.TROUBLE:
        return (substatus or status)[:255]
    return ""


def raw_status(shipment: Reader) -> str:
    return "/".join(filter(None, (shipment.text("status", ""), shipment.text("substatus", ""))))[:120]


def carried_by(sale: Sale) -> tuple[str, str]:
    """(mode, type) of the parcel that counts, in the new format or the old one."""
    for one in reversed(sale.shipments):
        shipment = one.maybe("shipment")
        if shipment.text("status", "") != "cancelled" or one is sale.shipments[0]:
            mode = shipment.text("logistic.mode", "") or shipment.text("mode", "")
            return mode[:40], (shipment.text("logistic.type", "") or shipment.text("logistic_type", ""))[:60]
    return "", ""


def logistics(sale: Sale, kind: str) -> Logistics:
    if not sale.shipments:
        return (
            Logistics.NONE if any("no_shipping" in order.words("tags") for order in sale.orders) else Logistics.UNKNOWN
        )
    if kind and kind not in words.LOGISTICS:
        sale.raw.unknown.append(f"$.shipments.logistic.type: {kind}"[:250])
    return words.LOGISTICS.get(kind, Logistics.UNKNOWN)
