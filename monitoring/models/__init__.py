"""What the watching layer keeps, by the room that keeps it."""

from monitoring.models.alerts import Alert, AlertPreference, AlertRule, Delivery, Destination
from monitoring.models.desk import BulkPart, BulkTask, OrderColumns, SavedView
from monitoring.models.incidents import Cure, Incident
from monitoring.models.insights import (
    CarrierOfDay,
    PaceOfDay,
    PaceOfMonth,
    ProductOfDay,
    ProductOfMonth,
    SalesOfDay,
    Tally,
)
from monitoring.models.packing import ChannelLabel
from monitoring.models.reconciliation import DayCount, Finding, Listed
from monitoring.models.system import Heartbeat, Sample
from monitoring.models.usual import UsualHour, UsualTime

__all__ = [
    "Alert",
    "AlertPreference",
    "AlertRule",
    "BulkPart",
    "BulkTask",
    "CarrierOfDay",
    "ChannelLabel",
    "Cure",
    "DayCount",
    "Delivery",
    "Destination",
    "Finding",
    "Heartbeat",
    "Incident",
    "Listed",
    "OrderColumns",
    "PaceOfDay",
    "PaceOfMonth",
    "ProductOfDay",
    "ProductOfMonth",
    "SalesOfDay",
    "Sample",
    "SavedView",
    "Tally",
    "UsualHour",
    "UsualTime",
]
