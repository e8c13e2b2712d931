"""The pages that are open all day, at a million orders and at ten thousand: server time and statements of each; before
that, at a hundred thousand, the list's filters with eight people at once, and what the pages weigh.

A look is a whole request through all middleware to the last byte, with an empty cache. The filters are the worst
ones: those that nothing or nearly nothing matches make the database look furthest.
"""

import time
from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from hub.models import Membership
from monitoring.bench import crowd, many_orders, servers
from monitoring.bench.measure import Report, percentile, statements
from monitoring.insights import tally
from orders import priority
from orders.models import Order

FEW, CROWDED, MANY = 10_000, 100_000, 1_000_000
WEIGHED = ("overview", "orders", "one order", "insights")
# The two databases take turns, so that a busy moment of the machine hits both; a turn's first look warms up.
TURNS, LOOKS = 8, 3
LONGEST_MS = 150
GROWTH = 1.5
SERVER_NAME = "127.0.0.1"
# A list that fits on its page is not counted, and an empty one has no parts to read.
FEWER_WHERE_LITTLE = 2

Paths = Mapping[str, str]


def run(few: int = FEW, many: int = MANY, crowded: int = CROWDED) -> Report:
    report = Report()
    large = str(connection.settings_dict["NAME"])
    small, middle = f"{large}_few", f"{large}_crowd"
    with servers.database(settings.DATABASE_URL, middle) as address:
        try:
            paths = _build(middle, crowded)
            with crowd.web(address, report) as web:
                client = browser()
                crowd.speed(report, web.port, client, _lists(paths), crowded)
                crowd.weight(report, web.port, client, {name: paths[name] for name in WEIGHED})
        finally:
            _use(large)
    with servers.database(settings.DATABASE_URL, small):
        try:
            alone = {small: _build(small, few), large: _build(large, many)}
            taken, asked = _measure(alone)
        finally:
            _use(large)
    for name in alone[large]:
        at_few, at_many = taken[small][name], taken[large][name]
        figure = f"{at_many:.0f} ms at {many:,} orders"
        report.add(f"{name}: p95", figure, f"{LONGEST_MS} ms", at_many / LONGEST_MS, at_most=1)
        report.add(f"{name}: growth", figure, f"{at_few:.0f} ms at {few:,}", at_many / at_few, at_most=GROWTH)
        more = asked[large][name] - asked[small][name]
        report.add(
            f"{name}: statements",
            str(asked[large][name]),
            f"{asked[small][name]} at {few:,}",
            more,
            at_most=FEWER_WHERE_LITTLE,
        )
    report.saw("bench")
    return report


def _lists(paths: Paths) -> Paths:
    return {name: path for name, path in paths.items() if name.startswith("orders")}


def _use(database: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = database


def _build(database: str, amount: int) -> Paths:
    """A shop of so many orders, with everything that its pages read made ready; the pages' addresses."""
    _use(database)
    call_command("migrate", verbosity=0)
    shop = many_orders.shop()
    many_orders.fill(shop, amount)
    _make_searchable()
    add_lines()
    while priority.rank():
        pass
    tally.count_all()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    user = User.objects.create(username="bench", is_staff=True)
    Membership.objects.create(user=user, seller=shop.seller, role=Membership.Role.OWNER)
    return addresses(Order.objects.order_by("-placed_at").values_list("pk", "external_id")[amount // 2], shop)


def _make_searchable() -> None:
    """Each order is found by a number and a name of its own. The index is built anew: that is faster."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS order_search")
        cursor.execute("UPDATE orders_order SET search = external_id || ' ' || md5(id::text) || ' fulana de exemplo'")
        cursor.execute("CREATE INDEX order_search ON orders_order USING gin (search gin_trgm_ops)")


def add_lines() -> None:
    """One line for each order that has none, of a thousand products."""
    columns = (
        "order_id, external_id, order_reference, sku, erp_sku, title, quantity, unit_price, discount, fee, gtin,"
        " image_url, shipment_reference, cancelled, refunded, returned"
    )
    values = "id, '1', '', 'SKU-' || id % 1000, '', 'Caneca', 1 + id % 3, 10, 0, 1, '', '', '', 0, 0, 0"
    # Looked up in one table of hashes: a join would read all lines for each order, as they are written.
    without = "id NOT IN (SELECT order_id FROM orders_orderitem)"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO orders_orderitem ({columns}) SELECT {values} FROM orders_order WHERE {without}")  # noqa: S608


def addresses(one: tuple[int, str], shop: many_orders.Shop) -> Paths:
    """name -> address of each page."""
    orders = reverse("orders")
    channel = shop.channels[0].pk
    return {
        "orders": orders,
        "orders, three filters": f"{orders}?channel={channel}&status=delivered&state=SP",
        "orders, what first": f"{orders}?status=open",
        "orders, priority high": f"{orders}?priority=high&held=no",
        "orders, at risk": f"{orders}?due=risk&sort=deadline",
        "orders, by total": f"{orders}?sort=total",
        "orders, one city": f"{orders}?city=Recife",
        "orders, one carrier": f"{orders}?carrier=Carrier+3",
        "orders, no such carrier": f"{orders}?carrier=Nobody",
        "orders, one SKU": f"{orders}?sku=SKU-77",
        "orders, one tag": f"{orders}?tag=gift",
        "orders, values": f"{orders}?least=500&most=505&logistics=pickup",
        "orders, page 100": f"{orders}?page=100",
        "orders, search": f"{orders}?q={one[1]}",
        "orders, search finds all": f"{orders}?q=fulana+exemplo",
        "one order": reverse("order", args=[one[0]]),
        "overview": reverse("admin:index"),
        "insights": reverse("insights"),
        "insights, a year": f"{reverse('insights')}?period=365",
    }


def _measure(paths: Mapping[str, Paths]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """database -> page -> p95 of its looks in ms; database -> page -> how many statements."""
    times: dict[str, dict[str, list[float]]] = {database: {name: [] for name in paths[database]} for database in paths}
    asked: dict[str, dict[str, int]] = {database: {} for database in paths}
    for _turn in range(TURNS):
        for database, pages in paths.items():
            _use(database)
            client = browser()
            for name, path in pages.items():
                looks = [look(client, path) for _number in range(1 + LOOKS)][1:]
                times[database][name] += [ms for ms, _count in looks]
                asked[database][name] = max(count for _ms, count in looks)
    slowest = {
        database: {name: percentile(found, 0.95) for name, found in by_page.items()}
        for database, by_page in times.items()
    }
    return slowest, asked


def browser() -> Client:
    client = Client(SERVER_NAME=SERVER_NAME)
    client.force_login(User.objects.get(username="bench"), "django.contrib.auth.backends.ModelBackend")
    return client


def look(client: Client, path: str) -> tuple[float, int]:
    """Milliseconds and statements of one request."""
    cache.clear()
    started = time.perf_counter()
    with statements() as seen:
        answer = client.get(path)
    taken = (time.perf_counter() - started) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code}")
    return taken, len(seen)
