"""What the watching layer keeps: heartbeats, incidents and their cures, findings of the comparison, alerts, samples."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from connectors.models import Connection
from hub import vault
from hub.models import Seller
from orders.models import Order


class Heartbeat(models.Model):
    """When a running part last showed that it lives. The task that writes it is sent by beat and run by a worker,
    so that a young one proves both.
    """

    name = models.CharField(max_length=60, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


# --- Incidents -----------------------------------------------------------------------------------------------------


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
    # How many jobs and documents it holds up now, and the most it ever did; orders, and their value.
    blocked = models.PositiveIntegerField(_("blocked"), default=0)
    most_blocked = models.PositiveIntegerField(default=0)
    orders = models.PositiveIntegerField(_("orders"), default=0)
    value = models.DecimalField(_("value"), max_digits=16, decimal_places=2, default=0)
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


# --- Reconciliation ------------------------------------------------------------------------------------------------


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
        OPEN = "open", _("Open")
        # Its repair is on the way; the next comparison says whether it helped.
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
    # What each side says: {"channel": {...}, "hub": {...}, "erp": [{...}, …]}.
    facts = models.JSONField(default=dict, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    found_at = models.DateTimeField(_("found"), default=timezone.now)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
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
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


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
    # How many the comparison itself has brought in: a healthy hub has 0.
    repaired = models.PositiveIntegerField(_("repaired"), default=0)
    counted_at = models.DateTimeField(null=True, blank=True)
    # The running count's place in the channel's list; empty when it is done.
    cursor = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = _("count of a day")
        constraints = [models.UniqueConstraint(fields=["connection", "day"], name="one_count_per_day")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.day}"

    @property
    def closes(self) -> bool:
        return not self.missing_in_hub and not self.missing_in_erp


# --- Alerts --------------------------------------------------------------------------------------------------------


class Destination(models.Model):
    """Where a seller's alerts go. The address may hold a secret (a chat's token), so it is sealed."""

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

    class Meta:
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")

    def __str__(self) -> str:
        return self.name

    def open(self) -> dict[str, Any]:
        return vault.unseal(self.sealed)


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

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return str(self.get_kind_display())


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
    opened_at = models.DateTimeField(_("since"), default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    mended_at = models.DateTimeField(null=True, blank=True)
    taken_by = models.CharField(max_length=150, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    # Messages sent, and those that were not because of the window or the quiet hours.
    told = models.PositiveIntegerField(default=0)
    suppressed = models.PositiveIntegerField(default=0)
    escalated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["rule", "cause"], condition=~Q(state="mended"), name="one_alert_per_cause")
        ]
        indexes = [models.Index(fields=["seller", "-opened_at"], name="alert_newest")]

    def __str__(self) -> str:
        return self.cause


class Delivery(models.Model):
    """A message to a person, written with what calls for it and sent afterwards: it survives whatever dies between."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Could not be sent")

    destination = models.ForeignKey(Destination, models.CASCADE, related_name="deliveries")
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, blank=True, related_name="deliveries")
    # "new", "reminder", "escalation", "mended", "digest", "test".
    purpose = models.CharField(max_length=12)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        indexes = [models.Index(fields=["due_at"], name="delivery_due", condition=Q(state="waiting"))]

    def __str__(self) -> str:
        return self.subject


# --- What is usual, and how it went ---------------------------------------------------------------------------------


class Sample(models.Model):
    """One minute of one connection: its calls, and how much waited at the minute's end."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="samples", db_index=False)
    at = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    limited = models.PositiveIntegerField(default=0)
    # Milliseconds.
    median = models.PositiveIntegerField(default=0)
    p95 = models.PositiveIntegerField(default=0)
    backlog = models.PositiveIntegerField(default=0)
    # Seconds that the oldest due job has waited.
    oldest = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "at"], name="one_sample_per_minute")]
        indexes = [models.Index(fields=["at"], name="sample_age")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.at:%H:%M}"


class UsualHour(models.Model):
    """How many orders a channel's connection usually brings in this hour of the week: what silence is measured by."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="usual_hours", db_index=False)
    # 0 is Monday 0 to 1 h, in the seller's zone.
    hour = models.PositiveSmallIntegerField()
    orders = models.FloatField()
    weeks = models.PositiveSmallIntegerField()
    learnt_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "hour"], name="one_usual_hour")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.hour}"


class UsualTime(models.Model):
    """How long a step usually takes: what "stalled" and "at risk on the way" are measured by."""

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="usual_times", db_index=False)
    # The step ("export", "invoice", "dispatch", "delivery", "scan"), and whose: a channel's id, a carrier and state.
    step = models.CharField(max_length=12)
    scope = models.CharField(max_length=160)
    # Nine of ten were done within so many hours; from so many.
    hours = models.FloatField()
    cases = models.PositiveIntegerField()
    learnt_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["seller", "step", "scope"], name="one_usual_time")]

    def __str__(self) -> str:
        return f"{self.step} {self.scope}"
