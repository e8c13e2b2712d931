"""What the comparison of channel, hub and ERP found and counted."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from connectors.models import Connection, Job
from hub.models import Seller
from orders.models import Order


class Finding(models.Model):
    """A difference between channel, hub and ERP that the comparison found. One row for as long as it lasts."""

    class Kind(models.TextChoices):
        MISSING_IN_HUB = "missing_in_hub", _("Missing in the hub")
        MISSING_IN_ERP = "missing_in_erp", _("Missing in the ERP")
        DUPLICATED = "duplicated", _("Twice in the ERP")
        STATUS_DIFFERS = "status_differs", _("Status differs")
        TOTAL_DIFFERS = "total_differs", _("Total differs")
        LINK_LOST = "link_lost", _("Link lost")
        TYPED_BY_HAND = "typed_by_hand", _("Typed by hand in the ERP")

    class State(models.TextChoices):
        # A list may be old news: nobody sees it before a fresh read says the same.
        SUSPECTED = "suspected", _("Being checked")
        OPEN = "open", _("Open")
        # Its repair is on the way; what comes of it says whether it helped.
        REPAIRING = "repairing", _("Being repaired")
        MENDED = "mended", _("Mended")
        DISMISSED = "dismissed", _("Left as it is")

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="findings", db_index=False)
    # Whose list showed it: the channel's or the ERP's.
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="findings", db_index=False)
    order = models.ForeignKey(Order, models.CASCADE, null=True, blank=True, related_name="findings")
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    # What it is about, unique within connection and kind: the channel's or the ERP's id.
    key = models.CharField(max_length=200)
    # The day of the sale, in the seller's zone.
    day = models.DateField(null=True, blank=True)
    # What each side says: {"channel": {...}, "hub": {...}, "erp": [{...}, …]}; see `reconciliation.facts`.
    facts = models.JSONField(default=dict, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    found_at = models.DateTimeField(_("found"), default=timezone.now)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    # The job that checks or repairs it, and when that was asked for.
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    asked_at = models.DateTimeField(null=True, blank=True)
    # A code of `reconciliation.repairs`; "checked" where the fresh read found nothing wrong.
    repair = models.CharField(max_length=20, blank=True)
    # Empty where the seller allows the repair to happen by itself.
    repaired_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [models.UniqueConstraint(fields=["connection", "kind", "key"], name="one_finding_per_difference")]
        indexes = [
            models.Index(
                fields=["seller", "kind", "found_at"],
                name="finding_open",
                condition=Q(state__in=["open", "repairing"]),
            ),
            models.Index(
                fields=["asked_at"], name="finding_awaited", condition=Q(state__in=["suspected", "repairing"])
            ),
            models.Index(fields=["connection", "day"], name="finding_of_day"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


# A page is no list.
NAMES_SHOWN = 5


class DayCount(models.Model):
    """The completeness proof of one day at one channel: how many sales the channel, the hub and the ERP count."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="day_counts")
    # In the seller's zone.
    day = models.DateField(_("day"))
    channel_count = models.PositiveIntegerField(_("channel"), default=0)
    hub_count = models.PositiveIntegerField(_("hub"), default=0)
    # Of those that the ERP should have: how many that is, and how many it has.
    due_count = models.PositiveIntegerField(default=0)
    erp_count = models.PositiveIntegerField(_("ERP"), default=0)
    # The channel's ids that are missing, by name: in the hub, and in the ERP.
    missing_in_hub = models.JSONField(default=list, blank=True)
    missing_in_erp = models.JSONField(default=list, blank=True)
    # Placed so lately, or so plainly under way, that nothing is missing yet: in none of the counts above.
    on_the_way = models.PositiveIntegerField(_("on the way"), default=0)
    # How many the comparison itself has brought in: a healthy hub has 0.
    repaired = models.PositiveIntegerField(_("repaired"), default=0)
    counted_at = models.DateTimeField(null=True, blank=True)
    erp_counted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("count of a day")
        constraints = [models.UniqueConstraint(fields=["connection", "day"], name="one_count_per_day")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.day}"

    @property
    def closes(self) -> bool:
        return not self.missing_in_hub and not self.missing_in_erp

    @property
    def gaps(self) -> int:
        return self.channel_count - self.hub_count + self.due_count - self.erp_count

    @property
    def named(self) -> list[str]:
        """The first of those that are missing."""
        missing: list[str] = [*self.missing_in_hub, *self.missing_in_erp]
        return missing[:NAMES_SHOWN]


class Listed(models.Model):
    """A sale as its channel's list, or an order as the ERP's list, showed it last."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="listed", db_index=False)
    # Of the list's entry. A channel may list a sale in parts; `sale` is what `fetch` takes.
    key = models.CharField(max_length=120)
    sale = models.CharField(max_length=120)
    # In the seller's zone.
    day = models.DateField(null=True, blank=True)
    at = models.DateTimeField(null=True, blank=True)
    # A channel's: see `contract.ListedSale`. An ERP's is "cancelled" or empty.
    status = models.CharField(max_length=12, blank=True)
    raw_status = models.CharField(max_length=120, blank=True)
    total = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    freight_apart = models.BooleanField(default=False)
    # An ERP's: see `contract.ErpOrder`. The document is only good for telling whether two are the same.
    number = models.CharField(max_length=120, blank=True)
    reference = models.CharField(max_length=120, blank=True)
    hub_key = models.CharField(max_length=200, blank=True)
    buyer = models.CharField(max_length=255, blank=True)
    document_digest = models.CharField(max_length=16, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "key"], name="one_entry_per_list")]
        indexes = [
            models.Index(fields=["connection", "day"], name="listed_of_day"),
            models.Index(fields=["connection", "reference"], name="listed_reference", condition=~Q(reference="")),
            models.Index(fields=["connection", "hub_key"], name="listed_hub_key", condition=~Q(hub_key="")),
        ]

    def __str__(self) -> str:
        return self.number or self.key

    @property
    def cancelled(self) -> bool:
        return self.status == "cancelled"
