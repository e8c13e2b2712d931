"""The words every layer uses for an order: one vocabulary for models, documents, pages and reports."""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class OrderStatus(models.TextChoices):
    PENDING = "pending", _("Awaiting payment")
    APPROVED = "approved", _("Approved")
    INVOICED = "invoiced", _("Invoiced")
    SHIPPED = "shipped", _("Shipped")
    DELIVERED = "delivered", _("Delivered")
    CANCELLED = "cancelled", _("Cancelled")
    RETURNED = "returned", _("Returned")


class PaymentStatus(models.TextChoices):
    UNKNOWN = "unknown", _("Unknown")
    PENDING = "pending", _("Pending")
    PAID = "paid", _("Paid")
    PARTIALLY_REFUNDED = "partially_refunded", _("Partially refunded")
    REFUNDED = "refunded", _("Refunded")


class Logistics(models.TextChoices):
    """Who runs the parcel."""

    SELLER = "seller", _("Seller ships")
    PICKUP = "pickup", _("Marketplace collects")
    FULFILLED = "fulfilled", _("Marketplace warehouse")
    NONE = "none", _("No shipment")
    UNKNOWN = "unknown", _("Unknown")


class ShipmentStatus(models.TextChoices):
    PENDING = "pending", _("Pending")
    READY = "ready", _("Ready to ship")
    SHIPPED = "shipped", _("In transit")
    DELIVERED = "delivered", _("Delivered")
    RETURNED = "returned", _("Returned")
    CANCELLED = "cancelled", _("Cancelled")
    UNKNOWN = "unknown", _("Unknown")


class Hold(models.TextChoices):
    """Why an order may not go to the ERP until somebody or something decides."""

    MONEY = "money", _("The amounts do not add up")
    CURRENCY = "currency", _("Unknown currency")
    FRAUD = "fraud", _("Fraud risk announced by the channel")
    MASKED = "masked", _("Buyer data withheld by the channel")
    BUYER = "buyer", _("Buyer's document is not valid")
    DATES = "dates", _("A date lies in the future")
    PERSON = "person", _("Held by a person")
    RULE = "rule", _("Held by a rule")


class LineChange(models.TextChoices):
    CANCELLED = "cancelled", _("Cancelled")
    REFUNDED = "refunded", _("Refunded")
    RETURNED = "returned", _("Returned")


class Source(StrEnum):
    """Where a fact came from; written on every timeline entry."""

    CHANNEL = "channel"
    ERP = "erp"
    CARRIER = "carrier"
    HUB = "hub"
    PERSON = "person"
