"""Equal failures as one thing to mend, and the presses that mended them."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from connectors.models import Connection
from hub.models import Seller

OWN_CURRENCY = "BRL"


class Incident(models.Model):
    """Equal failures as one thing to mend. The failures themselves are jobs and inbox rows that carry its `cause`."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SNOOZED = "snoozed", _("Snoozed")
        RESOLVED = "resolved", _("Resolved")

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="incidents", db_index=False)
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="incidents")
    # A job's operation; "read" for documents that could not be read, "connection" for one that works no more.
    operation = models.CharField(_("operation"), max_length=20)
    category = models.CharField(_("category"), max_length=12)
    code = models.CharField(max_length=80, blank=True)
    # `connectors.failures.cause_of`: equal for failures that differ only in numbers, ids and dates.
    cause = models.CharField(max_length=16)
    # One of the failures in its own words.
    message = models.TextField(_("message"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    # How many jobs and documents it holds up now, and the most it ever did; orders, and what those in the hub's own
    # currency are worth, by which incidents are sorted.
    blocked = models.PositiveIntegerField(_("blocked"), default=0)
    most_blocked = models.PositiveIntegerField(default=0)
    orders = models.PositiveIntegerField(_("orders"), default=0)
    value = models.DecimalField(_("value"), max_digits=16, decimal_places=2, default=0)
    # What the others are worth: {"USD": "120.50"}.
    foreign = models.JSONField(default=dict, blank=True)
    # Whether a person must move (something was refused), or the hub still tries by itself.
    needs_person = models.BooleanField(default=False)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("assignee")
    )
    note = models.TextField(_("note"), blank=True)
    # A snooze ends at its time, or when more than this is blocked.
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snoozed_above = models.PositiveIntegerField(null=True, blank=True)
    reopened = models.PositiveIntegerField(_("came back"), default=0)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = [
            models.UniqueConstraint(fields=["connection", "operation", "cause"], name="one_incident_per_cause")
        ]
        indexes = [
            models.Index(fields=["seller", "-last_seen_at"], name="incident_newest"),
            models.Index(fields=["seller"], name="incident_open", condition=~Q(state="resolved")),
        ]

    def __str__(self) -> str:
        return self.message[:80]

    @property
    def amounts(self) -> list[tuple[Decimal, str]]:
        """(amount, currency) of each currency there is."""
        own = [(self.value, OWN_CURRENCY)] if self.value else []
        return own + [(Decimal(amount), currency) for currency, amount in sorted(self.foreign.items())]


class Cure(models.Model):
    """One press of "try again" for an incident: what went, what was left out, and what came of it."""

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="cures")
    actor = models.CharField(max_length=150)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Keys of the jobs and documents that went.
    jobs = models.JSONField(default=list)
    entries = models.JSONField(default=list)
    left_out = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.actor} {self.started_at:%Y-%m-%d %H:%M}"
