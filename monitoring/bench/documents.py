"""Canonical orders of the usual kind, made up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connectors.simulation.catalogue import SKUS
from hub.models import Seller
from orders.documents import Address, Buyer, Item, Milestones, OrderDocument, Payment, Shipment, Totals
from orders.models import SalesChannel
from orders.vocabulary import Logistics, PaymentStatus, ShipmentStatus

MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
FREIGHT = Decimal("12.90")


def page(name: str, size: int) -> list[OrderDocument]:
    """`size` paid orders, two lines each; `name` makes their ids new."""
    return [_order(f"{name}-{place:05d}", place) for place in range(size)]


def _order(external_id: str, place: int) -> OrderDocument:
    chosen = [SKUS[place % len(SKUS)], SKUS[(place * 7 + 3) % len(SKUS)]]
    items = tuple(
        Item(external_id=str(number), sku=sku, title=title, quantity=Decimal(1), unit_price=price, fee=price / 10)
        for number, (sku, title, price) in enumerate(chosen, 1)
    )
    goods = sum((item.unit_price for item in items), Decimal(0))
    placed = MOMENT + timedelta(seconds=place)
    address = Address(
        recipient="Fulana de Exemplo", street="Rua das Amostras", number=str(place), district="Centro",
        city="Campinas", state="SP", postal_code="13010000",
    )  # fmt: skip
    paid = Payment(
        external_id=f"{external_id}-p", method="pix", raw_status="approved", status=PaymentStatus.PAID,
        amount=goods + FREIGHT, paid_at=placed,
    )  # fmt: skip
    parcel = Shipment(
        external_id=f"{external_id}-s", raw_status="ready_to_ship", status=ShipmentStatus.READY, service="Expresso",
        ship_by=placed + timedelta(hours=24),
    )  # fmt: skip
    return OrderDocument(
        external_id=external_id,
        external_ids=(f"{external_id}-a",),
        updated_at=placed,
        placed_at=placed,
        raw_status="paid",
        milestones=Milestones(approved_at=placed),
        payment_status=PaymentStatus.PAID,
        logistics=Logistics.SELLER,
        ship_by=placed + timedelta(hours=24),
        buyer=Buyer(name="Fulana de Exemplo", document="52998224725", email="fulana@example.com"),
        ship_to=address,
        bill_to=address,
        items=items,
        payments=(paid,),
        shipments=(parcel,),
        totals=Totals(items=goods, freight=FREIGHT, total=goods + FREIGHT),
    )


def channel(name: str) -> SalesChannel:
    seller, _made = Seller.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    return SalesChannel.objects.create(seller=seller, kind="mercado_livre", name=name)
