"""What of a sale that was read before need not be asked again, although the sale has moved on.

Each answer is None where it has to be asked. A shipment that Mercado Livre itself announces is read whole.
"""

from typing import Any

from connectors.channels.mercado_livre import words
from connectors.failures import Refusal
from connectors.reading import Reader, parse_json

_GONE = ("shipped", "delivered", "not_delivered")


class Last:
    def __init__(self, body: bytes) -> None:
        """`body` is what `bundle.fetch` gave the last time; empty for a sale that is new."""
        self._billing: tuple[str, Any] = ("", None)
        self._shipments: dict[str, Reader] = {}
        try:
            self._read(Reader(parse_json(body, what="document") if body else {}))
        except Refusal:
            # Then everything is asked: the mapping says what is wrong with it.
            self._billing, self._shipments = ("", None), {}

    def _read(self, sale: Reader) -> None:
        self._shipments = {one.text("shipment.id"): one for one in sale.list("shipments")}
        billing = sale.maybe("billing")
        if billing.maybe("buyer").text("billing_info.identification.number", ""):
            ids = [one.text("buyer.billing_info.id", "") for one in sale.list("orders")]
            self._billing = (next(filter(None, ids), ""), billing.raw)

    def billing(self, number: str) -> Any:
        """Of the same id, once it names the buyer's document."""
        known, billing = self._billing
        return billing if number == known else None

    def costs(self, shipment: dict[str, Any]) -> Any:
        """While the terms it was sold under are the same."""
        last = self._of(shipment)
        same = last.maybe("shipment").raw.get("lead_time") == shipment.get("lead_time")
        return last.raw.get("costs") if same else None

    def sla(self, shipment: dict[str, Any]) -> Any:
        """Once the parcel has left: the deadline for that may move until the day before."""
        left = shipment.get("status") in _GONE or shipment.get("substatus") in words.ON_THE_WAY
        return self._of(shipment).raw.get("sla") if left else None

    def _of(self, shipment: dict[str, Any]) -> Reader:
        return self._shipments.get(str(shipment.get("id")), Reader({}))
