"""Asks every service for the list of its sales, page by page, behind everything else that is due.

A census is a job of the ledger: its input holds the days and the place in the list, so that a worker's death costs
one page, and its priority lets every other call go first.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min, QuerySet
from django.utils import timezone

from connectors import hints, ledger, planning, registry
from connectors.contract import Capability, CensusPage, ErpOrder, ListedSale, Role, Window
from connectors.failures import LeaseLost
from connectors.ledger import Step
from connectors.models import Connection, Job
from connectors.work import Desk
from hub.models import Seller
from monitoring.models import Finding, Listed
from monitoring.reconciliation import channel_side, days, erp_side, findings, matching

OPERATION = "census"
# Behind a backfill: nobody waits for it.
PRIORITY = planning.BACKFILL_PRIORITY - 10
RECENT, NIGHTLY, ASKED = "recent", "nightly", "asked"
# A sale reaches the ERP after it was placed, sometimes days later.
ERP_LATER = timedelta(days=3)
# Yesterday's stragglers are in by then, and nobody is buying.
NIGHT_HOUR = 3
# A difference that stays open for longer than this is looked at no more.
OLDEST = timedelta(days=60)
KEPT = timedelta(days=120)
PRUNED = 2000
COLUMNS = (
    "sale", "day", "at", "status", "raw_status", "total", "freight_apart", "number", "reference", "hub_key", "buyer",
    "document_digest", "seen_at",
)  # fmt: skip


# --- When ----------------------------------------------------------------------------------------------------------


def schedule(now: datetime | None = None) -> int:
    """Asks for what is due: each hour today and yesterday, each night the last days. Returns how many were asked."""
    now = now or timezone.now()
    asked = 0
    for connection in able():
        if _is_due(connection, RECENT, now - timedelta(seconds=settings.COMPARE_SECONDS)):
            today = days.day_of(connection.seller, now)
            asked += ask(connection, RECENT, today - timedelta(days=1), today)
        night = days.begins(connection.seller, days.day_of(connection.seller, now)) + timedelta(hours=NIGHT_HOUR)
        if now >= night and _is_due(connection, NIGHTLY, night):
            asked += ask(connection, NIGHTLY, *nights(connection.seller, now))
    return asked


def able(seller_ids: Iterable[int] | None = None) -> list[Connection]:
    """Active connections whose service can be asked for its list."""
    rows = Connection.objects.filter(state=Connection.State.ACTIVE).select_related("seller").order_by("pk")
    rows = rows if seller_ids is None else rows.filter(seller__in=seller_ids)
    known = registry.services()
    return [one for one in rows if one.kind in known and Capability.CENSUS in known[one.kind].capabilities]


def with_erp(seller_ids: Iterable[int]) -> set[int]:
    """The sellers whose sales are counted in an ERP, too."""
    return {one.seller_id for one in able(seller_ids) if one.role == Role.ERP}


def nights(seller: Seller, now: datetime) -> tuple[date, date]:
    """The last days, and as far back as something is still open."""
    today = days.day_of(seller, now)
    first = today - timedelta(days=settings.COMPARE_DAYS)
    oldest = Finding.objects.filter(seller=seller, state__in=findings.LASTING).aggregate(day=Min("day"))["day"]
    return max(min(first, oldest or first), today - OLDEST), today - timedelta(days=1)


def _is_due(connection: Connection, name: str, since: datetime) -> bool:
    """Not since then, and not at this moment."""
    job = Job.objects.filter(connection=connection, operation=OPERATION, key=name).first()
    if job is None:
        return True
    return job.state not in UNDER_WAY and (job.finished_at or job.asked_at) < since and job.asked_at < since


UNDER_WAY = (Job.State.READY, Job.State.RUNNING)


def compare_now(seller_ids: Iterable[int], first: date, last: date) -> int:
    """A person wants to know. Returns how many connections were asked."""
    return sum(ask(one, f"{ASKED}:{first}:{last}", first, last, planning.BACKFILL_PRIORITY) for one in able(seller_ids))


@transaction.atomic
def ask(connection: Connection, name: str, first: date, last: date, priority: int = PRIORITY) -> bool:
    """False where the same is under way."""
    same = Job.objects.filter(connection=connection, operation=OPERATION, key=name)
    if same.filter(state__in=UNDER_WAY).exists():
        return False
    # One that was refused waits for its person; the next round tries anew and says so if nothing has changed.
    same.filter(state__in=(Job.State.REFUSED, Job.State.CLOSED)).update(state=Job.State.DONE)
    period = {"first": first.isoformat(), "last": last.isoformat(), "started": timezone.now().isoformat()}
    ledger.ask([Step(connection.pk, OPERATION, name, priority=priority, input=period)])
    hints.give([connection.pk])
    return True


def under_way(seller_ids: Iterable[int]) -> QuerySet[Job]:
    return Job.objects.filter(
        connection__seller__in=list(seller_ids), operation=OPERATION, state__in=UNDER_WAY
    ).select_related("connection")


# --- What ----------------------------------------------------------------------------------------------------------


def count(desk: Desk, job: Job) -> None:
    """One page of the list, or, when all of it is there, the comparison of one day; then the same job again."""
    page = None if job.input.get("day") else _page(desk, job)
    # Together: who has lost the job must not set its place back.
    with transaction.atomic():
        place = _compare(desk, job) if page is None else _keep(desk, job, page)
        held = Job.objects.filter(pk=job.pk, lease=job.lease, state=Job.State.RUNNING)
        held.update(input={**job.input, **place})
        if not ledger.done(job, again_at=timezone.now() if place.get("day") or place.get("more") else None):
            raise LeaseLost


def _page(desk: Desk, job: Job) -> CensusPage:
    window = _window(desk, job)
    if Capability.CENSUS not in desk.service.capabilities or window.since >= window.until:
        return CensusPage((), {})
    page: CensusPage = desk.adapter.census(job.input.get("cursor", {}), window)
    return page


def _window(desk: Desk, job: Job) -> Window:
    later = ERP_LATER if desk.connection.role == Role.ERP else timedelta(0)
    return days.window(desk.connection.seller, _day(job, "first"), _day(job, "last") + later)


def _keep(desk: Desk, job: Job, page: CensusPage) -> dict[str, Any]:
    store(desk.connection, page.rows)
    place = {"cursor": page.cursor, "listed": int(job.input.get("listed", 0)) + len(page.rows), "more": page.more}
    if page.more:
        return place
    _forget_the_unlisted(desk.connection, _window(desk, job), datetime.fromisoformat(job.input["started"]))
    return {**place, "day": job.input["first"]}


def _compare(desk: Desk, job: Job) -> dict[str, Any]:
    """A day is as much as one lease is good for."""
    day = _day(job, "day")
    side = erp_side if desk.connection.role == Role.ERP else channel_side
    side.compare(desk.connection, day, day, timezone.now())
    following = day + timedelta(days=1)
    return {"day": following.isoformat() if following <= _day(job, "last") else ""}


def _day(job: Job, name: str) -> date:
    return date.fromisoformat(job.input[name])


def store(connection: Connection, rows: Sequence[ListedSale] | Sequence[ErpOrder]) -> None:
    now = timezone.now()
    entries = {entry.key: entry for row in rows for entry in [_entry(connection, row, now)]}
    Listed.objects.bulk_create(
        [entries[key] for key in sorted(entries)],
        update_conflicts=True,
        unique_fields=["connection", "key"],
        update_fields=COLUMNS,
    )


def _entry(connection: Connection, row: ListedSale | ErpOrder, now: datetime) -> Listed:
    seller = connection.seller
    if isinstance(row, ListedSale):
        return Listed(
            connection=connection, key=row.part[:120], sale=row.external_id[:120], at=row.placed_at,
            day=days.day_of(seller, row.placed_at), status=row.status, raw_status=row.raw_status[:120],
            total=row.total, freight_apart=row.freight_apart, seen_at=now,
        )  # fmt: skip
    written_on = days.day_of(seller, row.created_at) if row.created_at else None
    return Listed(
        connection=connection, key=row.external_id[:120], sale=row.external_id[:120], at=row.created_at,
        day=row.dated or written_on, status="cancelled" if row.cancelled else "", raw_status=row.raw_status[:120],
        total=row.total, number=row.number[:120], reference=row.reference[:120], hub_key=row.hub_key[:200],
        buyer=row.buyer[:255], document_digest=matching.digest(row.document), seen_at=now,
    )  # fmt: skip


def _forget_the_unlisted(connection: Connection, window: Window, started: datetime) -> None:
    """What an earlier census listed in these days and this one did not is not there any more."""
    first = days.day_of(connection.seller, window.since)
    last = days.day_of(connection.seller, window.until - timedelta(microseconds=1))
    Listed.objects.filter(connection=connection, day__gte=first, day__lte=last, seen_at__lt=started).delete()


def prune() -> None:
    old = Listed.objects.filter(seen_at__lt=timezone.now() - KEPT)
    while ids := list(old.values_list("pk", flat=True)[:PRUNED]):
        Listed.objects.filter(pk__in=ids).delete()
