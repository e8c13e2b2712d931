"""A seller's year of orders, written by the database itself: a million takes minutes, not hours.

Two in a hundred are open, spread over every case of the reports; all others have ended. Newest first: the age of an
order decides how far it has come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Max, Model
from django.utils import timezone

from connectors.models import Connection, InboxEntry, Job, Link
from hub.models import Seller
from monitoring.models import Finding
from orders.models import Order, SalesChannel, Shipment, TrackingEvent

CHANNELS = 4
PAST = timedelta(days=365)
# So far back the parcels' scans are kept for the usual time to be learnt from.
SCANNED_DAYS = 20

# Of the orders by age, from 0 (now) to 1 (a year ago).
STATUS = """CASE WHEN age < 0.002 THEN 'approved' WHEN age < 0.006 THEN 'invoiced' WHEN age < 0.02 THEN 'shipped'
            WHEN i %% 40 = 0 THEN 'cancelled' ELSE 'delivered' END"""
SOURCE = f"""(
    SELECT i, placed, age, status, status IN ('shipped', 'delivered') AS left_the_house FROM (
        SELECT i, age, %(now)s::timestamptz - age * %(past)s::interval AS placed, {STATUS} AS status FROM (
            SELECT i, i / %(amount)s::float AS age FROM generate_series(0, %(amount)s - 1) AS i) AS aged) AS dated
    ) AS made"""  # noqa: S608 - constants of this file
ORDER = {
    "external_id": "%(first)s || '-' || i",
    "content_hash": "md5(i::text)",
    "channel_id": "(%(channels)s::bigint[])[1 + i %% 4]",
    "status": "status",
    "version_at": "placed",
    "placed_at": "placed",
    "created_at": "placed",
    "changed_at": "placed",
    "approved_at": "placed + interval '5 minutes'",
    "exported_at": "CASE WHEN status <> 'approved' OR i %% 20 <> 0 THEN placed + interval '10 minutes' END",
    "invoiced_at": "CASE WHEN status NOT IN ('approved', 'cancelled') THEN placed + interval '12 hours' END",
    "shipped_at": "CASE WHEN left_the_house THEN placed + interval '36 hours' END",
    "delivered_at": "CASE WHEN status = 'delivered' THEN placed + interval '6 days' END",
    "cancelled_at": "CASE WHEN status = 'cancelled' THEN placed + interval '1 day' END",
    "ship_by": "placed + CASE WHEN i %% 25 = 0 THEN interval '6 hours' ELSE interval '2 days' END",
    "deliver_by": "placed + CASE WHEN i %% 20 = 0 THEN interval '4 days' ELSE interval '8 days' END",
    # One in thirty was not seen again since it left, one in fifty never.
    "moved_at": """CASE WHEN left_the_house AND i %% 50 <> 1 THEN
                   CASE WHEN i %% 30 = 0 THEN placed + interval '36 hours'
                        ELSE greatest(placed + interval '36 hours', %(now)s - (i %% 20) * interval '1 hour') END END""",
    "held": "status = 'approved' AND i %% 60 = 0",
    "holds": """CASE WHEN status = 'approved' AND i %% 60 = 0 THEN '["money"]'::jsonb ELSE '[]' END""",
    "total": "10 + i %% 500",
    "state": "(ARRAY['SP', 'RJ', 'MG', 'BA', 'PE'])[1 + i %% 5]",
}
PARCEL = {
    "order_id": "id",
    "external_id": "'p' || id",
    "status": "status",
    "carrier": "'Carrier ' || id %% 5",
    "exception": "CASE WHEN status = 'shipped' AND id %% 100 = 3 THEN 'Nobody was at home' ELSE '' END",
    "shipped_at": "shipped_at",
    "delivered_at": "delivered_at",
}
SCAN = {
    "shipment_id": "parcel.id",
    "at": "parcel.shipped_at + step * interval '20 hours'",
    "raw_status": "step::text",
}
LINK = {
    "order_id": "id", "connection_id": "%(erp)s", "external_id": "'e' || id", "number": "id::text",
    "created_at": "exported_at", "complete": "status = 'delivered'",
}  # fmt: skip
JOB = {
    "order_id": "id", "connection_id": "%(erp)s", "key": "'order:' || id", "created_at": "approved_at",
    "due_at": "approved_at", "asked_at": "approved_at",
    "state": "CASE WHEN exported_at IS NOT NULL THEN 'done' WHEN id %% 2 = 0 THEN 'refused' ELSE 'ready' END",
    "error": "CASE WHEN exported_at IS NULL THEN 'No product has this SKU.' ELSE '' END",
    "failed_since": "CASE WHEN exported_at IS NULL THEN approved_at END",
}  # fmt: skip
UNTOLD = {
    "order_id": "id", "connection_id": "(%(connections)s::bigint[])[1 + id %% 4]", "key": "'invoice:' || id",
    "created_at": "invoiced_at", "due_at": "invoiced_at", "asked_at": "invoiced_at", "failed_since": "invoiced_at",
}  # fmt: skip
ENTRY = {
    "connection_id": "(%(connections)s::bigint[])[1 + id %% 4]", "external_id": "external_id", "order_id": "id",
    "digest": "md5(external_id)", "received_at": "placed_at",
}  # fmt: skip
UNREAD = {
    "connection_id": "(%(connections)s::bigint[])[1 + id %% 4]", "external_id": "'x' || external_id",
    "digest": "md5(external_id)", "received_at": "placed_at",
}  # fmt: skip
# What the comparison found: of a thousand orders seven are out of step, each in another way, and a hundred were.
FOUND = {
    "connection_id": "%(erp)s", "order_id": "id", "key": "id::text", "kind": "(%(kinds)s::text[])[1 + id %% 7]",
    "state": "CASE WHEN id %% 1000 < 7 THEN 'open' ELSE 'mended' END", "day": "placed_at::date",
    "found_at": "placed_at", "seen_at": "placed_at",
}  # fmt: skip
SIDE = {"number": "1", "status": "approved", "raw_status": "paid", "total": "100.00"}
ERP_SIDE = {**SIDE, "id": "e1", "buyer": "Fulana"}
SAID = {"channel": SIDE, "hub": SIDE, "erp": [ERP_SIDE, {**ERP_SIDE, "id": "e2"}]}


@dataclass(frozen=True)
class Shop:
    seller: Seller
    channels: list[SalesChannel]
    connections: list[Connection]
    erp: Connection


def shop() -> Shop:
    """A seller with four channels and an ERP."""
    seller = Seller.objects.create(name="Bench", slug=f"bench-{Seller.objects.count()}")
    channels = [
        SalesChannel.objects.create(seller=seller, kind="mercado_livre", name=f"Shop {number}")
        for number in range(CHANNELS)
    ]
    running = {"seller": seller, "state": Connection.State.ACTIVE}
    connections = [
        Connection.objects.create(kind=one.kind, role="channel", name=one.name, channel=one, **running)
        for one in channels
    ]
    erp = Connection.objects.create(kind="bling", role="erp", name="ERP", **running)
    return Shop(seller, channels, connections, erp)


def fill(made: Shop, amount: int) -> None:
    """So many orders more, the newest of now."""
    last = Order.objects.aggregate(last=Max("pk"))["last"] or 0
    now = timezone.now()
    values = {
        "now": now, "past": PAST, "amount": amount, "first": last, "erp": made.erp.pk,
        "channels": [one.pk for one in made.channels], "connections": [one.pk for one in made.connections],
        "scanned": now - timedelta(days=SCANNED_DAYS), "kinds": Finding.Kind.values,
    }  # fmt: skip
    new = "orders_order WHERE id > %(first)s"
    buyer = {"name": "Fulana de Exemplo", "document": "52998224725", "email": "fulana@example.com"}
    address = {"street": "Rua das Laranjeiras", "number": "100", "city": "São Paulo", "postal_code": "01001000"}
    order = Order(
        seller=made.seller, buyer=buyer, ship_to=address, bill_to=address, buyer_name=buyer["name"], city="São Paulo",
        logistics="seller", items_total=Decimal(100), search="fulana de exemplo",
    )  # fmt: skip
    insert(order, ORDER, SOURCE, values)
    insert(Shipment(source="channel"), PARCEL, f"{new} AND shipped_at IS NOT NULL", values)
    parcels = """orders_shipment AS parcel, generate_series(0, 3) AS step
                 WHERE parcel.order_id > %(first)s AND parcel.shipped_at > %(scanned)s"""
    insert(TrackingEvent(), SCAN, parcels, values)
    insert(Link(), LINK, f"{new} AND exported_at IS NOT NULL", values)
    insert(Job(operation="export", category="rejected"), JOB, f"{new} AND status <> 'cancelled'", values)
    refused = Job(operation="send_invoice", state="refused", category="rejected", error="The NF-e is not accepted.")
    insert(refused, UNTOLD, f"{new} AND status = 'invoiced' AND id %% 50 = 0", values)
    insert(InboxEntry(body=b"{}", source="fetch", state="read"), ENTRY, new, values)
    unread = InboxEntry(body=b"{}", source="fetch", state="rejected", error="This is not an amount.", error_path="$.x")
    insert(unread, UNREAD, f"{new} AND id %% 5000 = 0", values)
    insert(Finding(seller=made.seller, facts=SAID), FOUND, f"{new} AND id %% 1000 < 107", values)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def insert(template: Model, changes: Mapping[str, str], source: str, values: Mapping[str, Any]) -> None:
    """The template's columns, `changes` of them as SQL, for each row of `source`."""
    fields = {str(field.column): field for field in template._meta.concrete_fields if not field.primary_key}
    given = {
        f"own_{column}": field.get_db_prep_save(field.pre_save(template, add=True), connection)
        for column, field in fields.items()
        if column not in changes
    }
    columns = ", ".join(connection.ops.quote_name(column) for column in fields)
    wanted = ", ".join(changes.get(column, f"%(own_{column})s") for column in fields)
    table = connection.ops.quote_name(template._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {wanted} FROM {source}", {**values, **given})  # noqa: S608
