"""Days as the seller counts them."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from connectors.contract import Window
from hub.models import Seller
from monitoring.models import DayCount

# Sales that came in between two counts this far apart are few enough not to be missed.
APART = timedelta(minutes=15)


def day_of(seller: Seller, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(seller.time_zone)).date()


def today(seller: Seller) -> date:
    return day_of(seller, timezone.now())


def begins(seller: Seller, day: date) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(seller.time_zone))


def window(seller: Seller, first: date, last: date) -> Window:
    """From the first moment of the first day to the last one of the last, but never beyond now."""
    return Window(begins(seller, first), min(begins(seller, last + timedelta(days=1)), timezone.now()))


def is_settled(count: DayCount, seller: Seller, *, with_erp: bool) -> bool:
    """Whether its counts may be held against each other: those of a day that goes on must be of one moment."""
    channel_at, erp_at = count.counted_at, count.erp_counted_at
    if channel_at is None or (erp_at is None and with_erp):
        return False
    if erp_at is None or abs(channel_at - erp_at) <= APART:
        return True
    over = begins(seller, count.day + timedelta(days=1)) <= min(channel_at, erp_at)
    return over and count.due_count <= count.hub_count
