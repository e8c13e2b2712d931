"""Whom to call, when, and every message on its way."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hub import vault
from hub.models import Membership, Seller


class Destination(models.Model):
    """Where a seller's alerts go. The address may hold a secret (a chat's token), so it is sealed.

    Sealed is, by kind: {"to": "a@b.c"} (empty: the owners, as they are when it is sent, without those who have chosen
    for themselves); {"url", "secret"}; {"url"}; {"token", "chat"}.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", _("E-mail")
        WEBHOOK = "webhook", _("Webhook")
        CHAT = "chat", _("Chat (Slack, Google Chat, Mattermost)")
        TELEGRAM = "telegram", "Telegram"

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="destinations")
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    sealed = models.TextField(default="")
    language = models.CharField(_("language"), max_length=8, choices=settings.LANGUAGES, default=settings.LANGUAGE_CODE)
    active = models.BooleanField(_("active"), default=True)
    error = models.TextField(_("last error"), blank=True)
    told_at = models.DateTimeField(_("last message"), null=True, blank=True)
    # One person's own, for what they chose to be mailed (`AlertPreference`); it goes when they leave the seller.
    place = models.OneToOneField(
        Membership, models.CASCADE, null=True, blank=True, editable=False, related_name="alert_destination"
    )

    class Meta:
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")

    def __str__(self) -> str:
        return self.name

    def open(self) -> dict[str, Any]:
        return vault.unseal(self.sealed)

    @property
    def is_of_owners(self) -> bool:
        return self.kind == self.Kind.EMAIL and self.place_id is None and not self.open().get("to")


class AlertRule(models.Model):
    """When to call a person, whom, and how often."""

    class Kind(models.TextChoices):
        REPORT_ROWS = "report_rows", _("A report has rows")
        REPORT_AGE = "report_age", _("A report's oldest row is too old")
        INCIDENT = "incident", _("An incident opens")
        CONNECTION_DOWN = "connection_down", _("A connection does not work")
        TOKEN_EXPIRES = "token_expires", _("A sign-in is about to expire")
        SILENCE = "silence", _("No orders for unusually long")
        PROCESS_SILENT = "process_silent", _("Worker or clock is silent")
        BACKLOG = "backlog", _("The backlog grows")
        DIGEST = "digest", _("Daily summary")

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="alert_rules")
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    # What the kind needs: {"report": "untransmitted", "rows": 1}, {"hours": 2}, {"days": 7}, {"hour": 8} …
    params = models.JSONField(default=dict, blank=True)
    destinations = models.ManyToManyField(Destination, related_name="rules", blank=True)
    # Called as well when nobody has taken it after so many minutes (0: never).
    escalate_to = models.ManyToManyField(Destination, related_name="escalations", blank=True)
    escalate_minutes = models.PositiveIntegerField(_("escalate after, minutes"), default=0)
    # Told again each so many minutes until it is mended (0: never). At most one message per cause in the window.
    remind_minutes = models.PositiveIntegerField(_("remind each, minutes"), default=240)
    window_minutes = models.PositiveIntegerField(_("at most one message in, minutes"), default=15)
    # In the seller's zone; what comes in between is told when they end, unless it is urgent.
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    urgent = models.BooleanField(_("urgent: also in the quiet hours"), default=False)
    active = models.BooleanField(_("active"), default=True)
    # The day, in the seller's zone, whose summary has been written.
    digest_on = models.DateField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return str(self.get_kind_display())


class AlertPreference(models.Model):
    """How one person wants to be told of a seller's alerts, by kind of rule; what is not named is as their role has it.

    Whoever has chosen has a `Destination` of their own.
    """

    class Way(models.TextChoices):
        EMAIL = "email", _("By e-mail at once")
        PAGE = "page", _("In the dashboard")
        SUMMARY = "summary", _("Only in the daily summary")
        NOTHING = "nothing", _("Not at all")

    place = models.OneToOneField(Membership, models.CASCADE, related_name="alert_preference")
    ways = models.JSONField(default=dict, blank=True)
    # The newest alert they have seen in the dashboard.
    seen = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("alert preference")
        verbose_name_plural = _("alert preferences")

    def __str__(self) -> str:
        return str(self.place)


class Alert(models.Model):
    """One cause that a rule has called for, from the first time until it is mended."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        TAKEN = "taken", _("Somebody is on it")
        MENDED = "mended", _("Mended")

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts")
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="alerts", db_index=False)
    # What it is about: "incident:12", "report:untransmitted", "connection:3".
    cause = models.CharField(max_length=120)
    # What to say, for each reader's language: a code of `monitoring.alerts` and its values.
    code = models.CharField(max_length=40)
    data = models.JSONField(default=dict, blank=True)
    # The page that mends it, within this hub.
    path = models.CharField(max_length=255, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    # The cause itself cannot wait for the end of the quiet hours.
    urgent = models.BooleanField(default=False)
    opened_at = models.DateTimeField(_("since"), default=timezone.now)
    mended_at = models.DateTimeField(null=True, blank=True)
    taken_by = models.CharField(max_length=150, blank=True)
    # No reminders until then, or until it counts more than this.
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snoozed_above = models.PositiveIntegerField(null=True, blank=True)
    # What people were told last ("open", "mended", nothing yet), when, and how often.
    told_as = models.CharField(max_length=10, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    told = models.PositiveIntegerField(default=0)
    # A message is owed: the quiet hours or the budget held it back.
    held = models.BooleanField(default=False)
    # How often it came or went since the last message without one of its own.
    suppressed = models.PositiveIntegerField(default=0)
    escalated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["rule", "cause"], condition=~Q(state="mended"), name="one_alert_per_cause")
        ]
        indexes = [
            models.Index(fields=["seller", "-opened_at"], name="alert_newest"),
            models.Index(fields=["seller"], name="alert_open", condition=~Q(state="mended")),
        ]

    def __str__(self) -> str:
        return self.cause


class Delivery(models.Model):
    """A message to a person, written with what calls for it and sent afterwards: it survives whatever dies between."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Could not be sent")

    destination = models.ForeignKey(Destination, models.CASCADE, related_name="deliveries")
    # "escalation", "new", "reminder", "mended", "digest", "test": of a message with several parts the gravest.
    purpose = models.CharField(max_length=12)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    # For machines: {"alerts": [{"cause": …, "code": …, "state": …, "url": …, "data": {…}}, …], "more": 0}.
    data = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(state="waiting")),
            models.Index(fields=["destination", "-created_at"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return self.subject
