"""The daily summary: what needs a person first, then how yesterday was. At most 25 lines: it is read on a phone."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, F, Q, Sum
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connectors.models import Connection, InboxEntry, Job
from hub.models import Seller
from monitoring import figures
from monitoring.alerts import preferences, sending, wording
from monitoring.alerts.causes import USUAL
from monitoring.alerts.preferences import Way, Ways
from monitoring.alerts.wording import Message
from monitoring.models import Alert, AlertRule, DayCount, Delivery, Destination
from monitoring.reconciliation import census, days
from monitoring.templatetags.hub import money
from orders.models import Order

LINES = 25
# What each part shows at most; together they stay below `LINES`.
ALERTS, CHANNELS, COUNTS, MISSING = 5, 5, 4, 3
# A hub that was away in the morning does not send yesterday's news in the evening.
LATEST = timedelta(hours=6)
DAY = timedelta(days=1)


def write(rule: AlertRule, now: datetime, own: Iterable[Destination] = ()) -> int:
    """Writes today's, once, when its hour has come. Returns how many messages that made."""
    local = now.astimezone(ZoneInfo(rule.seller.time_zone))
    hour = int(rule.params.get("hour", USUAL[AlertRule.Kind.DIGEST]["hour"]))
    begins = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    if rule.digest_on == local.date() or not begins <= local < begins + LATEST:
        return 0
    AlertRule.objects.filter(pk=rule.pk).update(digest_on=local.date())
    readers = [*rule.destinations.all(), *preferences.mailed(own, rule.kind)]
    written = [_write_to(one, rule.seller, now) for one in readers if one.active]
    return sum(delivery is not None for delivery in written)


def _write_to(reader: Destination, seller: Seller, now: datetime) -> Delivery | None:
    ways = preferences.ways_of(reader.place) if reader.place else {}
    with preferences.as_its_reader(reader):
        return sending.enqueue(reader, compose(seller, reader.language, now, ways), now)


def compose(seller: Seller, language: str, now: datetime, ways: Ways | None = None) -> Message:
    """`ways`: how its reader is told of what besides, where that is one person."""
    zone = ZoneInfo(seller.time_zone)
    today = now.astimezone(zone).date()
    with translation.override(language), timezone.override(zone):
        urgent = _needs(seller, now, ways or {})
        title = f"{seller.name}, {date_format(today, 'SHORT_DATE_FORMAT')}"
        lines = [title, "", *(urgent or [_("Nothing needs you.")]), "", *_yesterday(seller, today, zone)]
        lines += [*_completeness(seller, today), "", f"{settings.PUBLIC_URL}/"]
        subject = f"{title}: {urgent[0].partition(': http')[0] if urgent else _('nothing needs you')}"
        return Message("digest", subject[:200], "\n".join(lines[:LINES]))


# --- What needs somebody ---------------------------------------------------------------------------------------------


def _needs(seller: Seller, now: datetime, ways: Ways) -> list[str]:
    counts = _counts(seller, now) + _alerts(seller, now, ways)
    return [line for line in counts if line]


def _counts(seller: Seller, now: datetime) -> list[str]:
    orders = Order.objects.filter(seller=seller)
    late = orders.filter(figures.late(now)).count()
    risk = orders.filter(figures.at_risk(now, [seller.pk])).count()
    failed = Job.objects.filter(connection__seller=seller, state=Job.State.REFUSED).count()
    failed += InboxEntry.objects.filter(connection__seller=seller, state=InboxEntry.State.REJECTED).count()
    return [
        _linked(late, ngettext("%(count)s order is late", "%(count)s orders are late", late), "orders", "?due=late"),
        _linked(
            risk,
            ngettext("%(count)s order is about to be late", "%(count)s orders are about to be late", risk),
            "orders",
            "?due=risk",
        ),
        _linked(
            failed,
            ngettext("%(count)s step waits for a person", "%(count)s steps wait for a person", failed),
            "failures",
            "?show=person",
        ),
    ]


def _linked(count: int, said: str, page: str, query: str) -> str:
    return f"{said % {'count': count}}: {settings.PUBLIC_URL}{reverse(page)}{query}" if count else ""


def _alerts(seller: Seller, now: datetime, ways: Ways) -> list[str]:
    """Those that nobody has taken, the oldest first; where this is all that is said of them, the mended ones, too."""
    unwanted = [AlertRule.Kind.REPORT_ROWS.value, *(kind for kind, way in ways.items() if way == Way.NOTHING)]
    only_here = [kind for kind, way in ways.items() if way == Way.SUMMARY]
    mended = Q(state=Alert.State.MENDED, mended_at__gt=now - DAY, rule__kind__in=only_here, told__gt=0)
    rows = Alert.objects.filter(Q(state=Alert.State.OPEN) | mended, seller=seller).exclude(rule__kind__in=unwanted)
    found = list(rows.order_by(F("mended_at").asc(nulls_first=True), "opened_at")[: ALERTS + 1])
    lines = [f"• {_line(one, now)}" for one in found[:ALERTS]]
    if len(found) > ALERTS:
        lines.append(f"{_('More alerts')}: {settings.PUBLIC_URL}{reverse('alerts')}")
    return lines


def _line(alert: Alert, now: datetime) -> str:
    said = wording.sentence(alert.code, alert.data, alert.mended_at or now)
    return f"{wording.PARTS['mended']}: {said}" if alert.state == Alert.State.MENDED else said


# --- How yesterday was -----------------------------------------------------------------------------------------------


def _yesterday(seller: Seller, today: date, zone: ZoneInfo) -> list[str]:
    begins = datetime.combine(today - timedelta(days=1), time.min, zone)
    ends = datetime.combine(today, time.min, zone)
    orders = Order.objects.filter(seller=seller, placed_at__gte=begins, placed_at__lt=ends).order_by()
    rows = list(orders.values_list("channel__name", "currency").annotate(count=Count("pk"), value=Sum("total")))
    rows.sort(key=lambda row: -row[3])
    count = sum(row[2] for row in rows)
    said = ngettext("Yesterday: %(count)s order", "Yesterday: %(count)s orders", count) % {"count": count}
    lines = [f"{said}, {_worth(rows)}" if rows else said]
    lines += [f"• {name}: {count}, {_amount(value, currency)}" for name, currency, count, value in rows[:CHANNELS]]
    return lines + ([_("• and other channels")] if len(rows) > CHANNELS else [])


def _worth(rows: list[tuple[str, str, int, Decimal]]) -> str:
    """Each currency by itself: there is no rate here to add them with."""
    totals: dict[str, Decimal] = {}
    for _name, currency, _count, value in rows:
        totals[currency] = totals.get(currency, Decimal(0)) + value
    return " + ".join(_amount(value, currency) for currency, value in totals.items())


def _amount(value: Decimal, currency: str) -> str:
    return str(money(round(value, 2), currency))


def _completeness(seller: Seller, today: date) -> list[str]:
    """The proof of yesterday, where it has been counted: those that do not close by name."""
    counted = DayCount.objects.filter(
        connection__seller=seller, connection__state=Connection.State.ACTIVE, day=today - timedelta(days=1)
    ).exclude(counted_at=None)
    counts = list(counted.select_related("connection").order_by("connection__name"))
    if wrong := [count for count in counts if not count.closes]:
        return [_missing(count) for count in wrong[:COUNTS]]
    with_erp = bool(census.with_erp([seller.pk]))
    if not counts or not all(days.is_settled(count, seller, with_erp=with_erp) for count in counts):
        return []
    whole = _("Every sale of yesterday is in the hub and in the ERP.")
    return [whole if with_erp else _("Every sale of yesterday is in the hub.")]


def _missing(day: DayCount) -> str:
    names = list(dict.fromkeys([*day.missing_in_hub, *day.missing_in_erp]))
    values = {
        "name": day.connection.name,
        "channel": day.channel_count,
        "hub": day.hub_count,
        "erp": day.erp_count,
        "names": ", ".join(map(str, islice(names, MISSING))) + (" …" if len(names) > MISSING else ""),
    }
    return _("%(name)s: channel %(channel)s, hub %(hub)s, ERP %(erp)s. Missing: %(names)s") % values
