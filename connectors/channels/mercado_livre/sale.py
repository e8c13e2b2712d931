"""One pack as it was read, its parts side by side, and what several rooms of the mapping ask of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.channels.mercado_livre import words
from connectors.reading import Reader


@dataclass
class Sale:
    """The parts of one pack, each with its place in the document."""

    raw: Reader
    settings: Mapping[str, Any]
    pack: Reader
    orders: list[Reader]
    shipments: list[Reader]
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states = [_state(order) for order in self.orders]

    @property
    def cancelled(self) -> bool:
        return all(state == words.CANCELLED for state in self.states)

    @property
    def paid(self) -> bool:
        """Nothing of the pack is waiting for money, and the pack itself is set free."""
        released = not self.pack.raw or self.pack.text("status", "released") == "released"
        return released and words.PAID in self.states and words.UNPAID not in self.states


def _state(order: Reader) -> str:
    """A seller's feedback "not fulfilled" cancels an order whose status may still say confirmed."""
    state = order.word("status", words.ORDER, words.UNPAID)
    told = order.maybe("feedback").raw.get("sale") or order.maybe("feedback").raw.get("seller")
    if isinstance(told, Mapping) and told.get("fulfilled") is False:
        return words.CANCELLED
    if order.raw.get("status") == "confirmed" and order.raw.get("fulfilled") is False:
        return words.CANCELLED
    return state


def back(sale: Sale) -> Iterator[Reader]:
    """Returns whose goods are in the seller's own hands."""
    for one in sale.raw.list("returns"):
        parcels = [
            parcel for parcel in one.list("shipments") if parcel.text("destination.name", "") == "seller_address"
        ]
        arrived = all(parcel.text("status", "") == "delivered" for parcel in parcels)
        if one.text("status", "") == "delivered" and parcels and arrived:
            yield one


def money_of(order: Reader) -> list[Reader]:
    """The order's payments that brought money, whether or not it went back since."""
    return [one for one in order.list("payments") if one.text("status", "") in words.MONEY_CAME]
