"""Sales added up, so that a page reads the same few rows whatever the number of orders."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from orders.models import SalesChannel, money
from orders.models import pieces as quantity


class SalesOfDay(models.Model):
    """One channel's sales of one day to one state, in one currency. Amounts are of what was sold: neither unpaid nor
    cancelled.
    """

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    # In the seller's zone, by when it was placed.
    day = models.DateField()
    state = models.CharField(max_length=2, blank=True)
    currency = models.CharField(max_length=3)
    orders = models.PositiveIntegerField(default=0)
    unpaid = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    # Of the orders sold: came back, or is on its way back.
    returned = models.PositiveIntegerField(default=0)
    pieces = quantity(_("pieces"))
    items = money(_("items"))
    discount = money(_("discount"))
    freight = money(_("freight"))
    total = money(_("total"))
    subsidy = money(_("paid by the marketplace"))
    fees = money(_("commission"))
    # What the parcels cost, where the channel says so, and the freight that these same orders were charged.
    freight_cost = money(_("freight cost"))
    freight_known = money(_("freight"))
    freight_orders = models.PositiveIntegerField(default=0)
    # The totals of those that were cancelled: what was lost.
    lost = money(_("cancelled"))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "day", "state", "currency"], name="one_row_of_sales_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.day} {self.state}"


class ProductOfDay(models.Model):
    """What one channel sold of one product on one day."""

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    # The SKU; a line without one goes by its title.
    product = models.CharField(max_length=255)
    currency = models.CharField(max_length=3)
    title = models.CharField(max_length=255, blank=True)
    pieces = quantity(_("pieces"))
    revenue = money(_("revenue"))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "day", "product", "currency"], name="one_row_of_a_product_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.day} {self.product}"


class PaceOfDay(models.Model):
    """At what hours one channel's sales of one day were placed, and how long they took from step to step."""

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    # 24 counts.
    hours = models.JSONField(default=list)
    # stage -> see `insights.spread.Spread`.
    stages = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "day"], name="one_pace_a_day")]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.day}"


class ProductOfMonth(models.Model):
    """The sum of the month's `ProductOfDay`: what a long period reads instead of its days."""

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    # Its first day.
    month = models.DateField()
    product = models.CharField(max_length=255)
    currency = models.CharField(max_length=3)
    title = models.CharField(max_length=255, blank=True)
    pieces = quantity(_("pieces"))
    revenue = money(_("revenue"))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "month", "product", "currency"], name="one_row_of_a_product_a_month"
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.month} {self.product}"


class PaceOfMonth(models.Model):
    """The sum of the month's `PaceOfDay`."""

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    month = models.DateField()
    # For each weekday, Monday first: 24 counts.
    hours = models.JSONField(default=list)
    stages = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "month"], name="one_pace_a_month")]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.month}"


class CarrierOfDay(models.Model):
    """How one carrier did with one channel's parcels, by the day on which their sales were placed."""

    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    carrier = models.CharField(max_length=120)
    parcels = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    returned = models.PositiveIntegerField(default=0)
    # With something that went wrong on the way.
    troubled = models.PositiveIntegerField(default=0)
    # Delivered, and the buyer had been promised a time.
    on_time = models.PositiveIntegerField(default=0)
    late = models.PositiveIntegerField(default=0)
    # Of those whose dispatch and delivery are known: how many, and their seconds on the way together.
    timed = models.PositiveIntegerField(default=0)
    seconds = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "day", "carrier"], name="one_row_of_a_carrier_a_day")]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.day} {self.carrier}"


class Tally(models.Model):
    """How far one channel's sales have been counted. Held while counting, so that two never do it at once."""

    channel = models.OneToOneField(SalesChannel, models.CASCADE, related_name="+")
    # The days are this zone's: after a change all is counted anew.
    zone = models.CharField(max_length=40)
    # Changes until then are in the counts.
    changed_until = models.DateTimeField()
    # The past is counted backwards: from this day on all is there; and whether that is all there is.
    since = models.DateField()
    complete = models.BooleanField(default=False)
    # The day whose night's check is done.
    checked_on = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.channel_id} {self.since}"
