"""One seller with an order in every situation, another seller with nothing in common, and people of all kinds."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from connectors.models import Connection, Exchange, InboxEntry, Job, Link
from hub import vault
from hub.models import Membership, Seller
from monitoring.models import Alert, AlertRule, Delivery, Destination, Incident
from orders.models import Order, OrderItem, OrderReference, SalesChannel
from orders.vocabulary import OrderStatus


@dataclass
class World:
    seller: Seller
    channel: SalesChannel
    shop: Connection
    erp: Connection

    def order(self, number: str, status: str = OrderStatus.APPROVED, **changes: object) -> Order:
        now = timezone.now()
        facts = {
            "version_at": now,
            "content_hash": number,
            "status": status,
            "placed_at": now - timedelta(minutes=5),
            "approved_at": now - timedelta(minutes=5),
            "buyer": {"name": "Joana Prado", "document": "52998224725"},
            "ship_to": {"street": "Rua das Laranjeiras", "city": "Recife", "state": "PE", "postal_code": "50030230"},
            "buyer_name": "Joana Prado",
            "city": "Recife",
            "state": "PE",
            "items_total": Decimal("100"),
            "freight": Decimal("19.90"),
            "total": Decimal("119.90"),
            "search": f"{number} joana prado 52998224725 caf-500".lower(),
        }
        order = Order.objects.create(
            seller=self.seller, channel=self.channel, external_id=number, **{**facts, **changes}
        )
        OrderReference.objects.create(order=order, channel=self.channel, value=number)
        OrderItem.objects.create(
            order=order,
            external_id=f"{number}-1",
            sku="CAF-500",
            title="Café",
            quantity=Decimal(2),
            unit_price=Decimal(50),
        )
        return order

    def exported(self, number: str, **changes: Any) -> Order:
        order = self.order(number, exported_at=timezone.now(), **changes)
        Link.objects.create(order=order, connection=self.erp, external_id=f"erp-{number}", number=f"N{number}")
        return order

    def export_job(self, order: Order, state: str = Job.State.REFUSED, **changes: object) -> Job:
        facts = {"category": "rejected", "error": "No product has SKU CAF-500.", "failed_since": timezone.now()}
        return Job.objects.create(
            connection=self.erp,
            operation="export",
            key=f"order:{order.pk}",
            order=order,
            state=state,
            **{**facts, **changes},
        )

    def incident(self, **changes: Any) -> Incident:
        """Of the refused export jobs."""
        facts = {"category": "rejected", "message": "No product has SKU CAF-500.", "blocked": 1, "needs_person": True}
        about = {"seller": self.seller, "connection": self.erp, "operation": "export"}
        return Incident.objects.create(**{**about, **facts, **changes})

    def alert(self, **changes: Any) -> Alert:
        """Of a channel that is silent, told to a chat that did not take it."""
        there = Destination.objects.create(
            seller=self.seller, name="Plantão", kind="chat", sealed=vault.seal({"url": "https://chat.example/token"})
        )
        rule = AlertRule.objects.create(seller=self.seller, kind="silence")
        rule.destinations.add(there)
        Delivery.objects.create(
            destination=there, purpose="new", subject="Loja: 1", body="1", state="failed", error="It answered 404."
        )
        since = (timezone.now() - timedelta(hours=3)).isoformat()
        facts = {
            "cause": f"silence:{self.shop.pk}", "code": "silence", "path": f"/connections/{self.shop.pk}/",
            "data": {"connection": self.shop.name, "since": since, "usual": 11}, "told": 1, "told_as": "open",
        }  # fmt: skip
        return Alert.objects.create(rule=rule, seller=self.seller, **{**facts, **changes})

    def rejected(self, number: str) -> InboxEntry:
        return InboxEntry.objects.create(
            connection=self.shop,
            external_id=number,
            digest=number,
            body=b'{"id": 12345678901234567890.10}',
            source="poll",
            state=InboxEntry.State.REJECTED,
            error="This is not an amount.",
            error_path="$.total",
        )

    def call(self, order: Order) -> Exchange:
        return Exchange.objects.create(
            connection=self.erp,
            order=order,
            operation="export",
            method="POST",
            url="https://erp.example/orders",
            status=400,
            duration_ms=120,
            response_body='{"error": "<b>no</b>"}',
            started_at=timezone.now(),
        )


RANDOM = re.compile(r'\b(csrfmiddlewaretoken" value|nonce)="[^"]*"')


def text_of(answer: Any) -> str:
    """Of any answer, streamed ones too; without what is drawn by lot, where a short text may turn up by chance."""
    content: bytes = answer.getvalue()
    return RANDOM.sub("", content.decode())


def build(slug: str) -> World:
    seller = Seller.objects.create(name=slug.title(), slug=slug)
    channel = SalesChannel.objects.create(seller=seller, kind="mercado_livre", name=f"Loja {slug}")
    running = {"state": Connection.State.ACTIVE, "next_poll_at": timezone.now() + timedelta(seconds=30)}
    shop = Connection.objects.create(
        seller=seller, kind="mercado_livre", role="channel", name=f"Loja {slug}", channel=channel, **running
    )
    erp = Connection.objects.create(seller=seller, kind="bling", role="erp", name=f"Bling {slug}", **running)
    return World(seller, channel, shop, erp)


def person(name: str, world: World | None, role: str = Membership.Role.OWNER) -> User:
    # Without a password: hashing one takes longer than the test.
    user = User.objects.create(username=name, is_staff=True)
    if world is not None:
        Membership.objects.create(user=user, seller=world.seller, role=role)
    return user


def browser_of(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client
