"""Days as the seller counts them."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from connectors.contract import Window
from hub.models import Seller


def day_of(seller: Seller, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(seller.time_zone)).date()


def today(seller: Seller) -> date:
    return day_of(seller, timezone.now())


def begins(seller: Seller, day: date) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(seller.time_zone))


def window(seller: Seller, first: date, last: date) -> Window:
    """From the first moment of the first day to the last one of the last, but never beyond now."""
    return Window(begins(seller, first), min(begins(seller, last + timedelta(days=1)), timezone.now()))
