"""What the watching layer keeps: heartbeats, incidents and their cures, findings of the comparison, alerts, samples."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from connectors.models import Connection, Job
from hub import vault
from hub.models import Seller
from orders.models import Order, SalesChannel, Shipment, money
from orders.models import pieces as quantity


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


# --- Alerts --------------------------------------------------------------------------------------------------------


class Destination(models.Model):
    """Where a seller's alerts go. The address may hold a secret (a chat's token), so it is sealed.

    Sealed is, by kind: {"to": "a@b.c"} (empty: the owners, as they are when it is sent); {"url", "secret"}; {"url"};
    {"token", "chat"}.
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
    # The day, in the seller's zone, whose summary has been written.
    digest_on = models.DateField(null=True, blank=True, editable=False)

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


# --- Insights ------------------------------------------------------------------------------------------------------


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


# --- Packing -------------------------------------------------------------------------------------------------------


class ChannelLabel(models.Model):
    """A parcel's label as its channel gave it, or why it gave none."""

    shipment = models.OneToOneField(Shipment, models.CASCADE, related_name="label")
    content_type = models.CharField(max_length=40, blank=True)
    # It names the buyer.
    sealed = models.TextField(editable=False)
    problem = models.TextField(_("problem"), blank=True)
    fetched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("label")
        verbose_name_plural = _("labels")

    def __str__(self) -> str:
        return f"{self.shipment} {self.content_type}"


# --- The desk: a person's own lists, and work over many orders -------------------------------------------------------


class SavedView(models.Model):
    """A list of orders under a name: its filters, its sorting. Its maker's alone, or all of a seller's people's."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    # Null: the maker's alone.
    shared_with = models.ForeignKey(Seller, models.CASCADE, null=True, blank=True, related_name="saved_views")
    name = models.CharField(_("name"), max_length=40)
    # As in the address: see `desk.filters`.
    query = models.CharField(max_length=1000, blank=True)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [models.UniqueConstraint(fields=["person", "name"], name="one_view_of_a_name")]

    def __str__(self) -> str:
        return self.name


class OrderColumns(models.Model):
    """The columns in which one person sees the list of orders."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="order_columns")
    chosen = models.JSONField(default=list)

    def __str__(self) -> str:
        return ", ".join(self.chosen)


class BulkTask(models.Model):
    """One thing to do to many orders, slice by slice. What is done of it stays done; begun again it goes on.

    The orders are those named (`ids`) or all that the filter finds: never a hundred thousand numbers in one row.
    """

    class Kind(models.TextChoices):
        TAG = "tag", _("Add a tag")
        UNTAG = "untag", _("Remove a tag")
        HOLD = "hold", _("Hold")
        RELEASE = "release", _("Release")
        RETRY = "retry", _("Try failed steps again")
        DISPATCH = "dispatch", _("Mark as dispatched")
        EXPORT = "export", _("File for a spreadsheet")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        STOPPED = "stopped", _("Stopped")

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="bulk_tasks")
    # Of these the person might change orders when it was asked for; looked at again with each slice.
    sellers = models.JSONField(default=list)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    # "ids" or "filter" (parameters of the address); "tag", "carrier", "format", "language".
    params = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    # None: not counted yet.
    total = models.PositiveIntegerField(null=True, blank=True)
    # Orders looked at, and those of them at which something was changed (an export: written).
    seen = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    # The first of them: {"order", "number", "text"}.
    errors = models.JSONField(default=list)
    # All orders up to this key are done; later ones than the last are not part of it.
    cursor = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    # A worker has it until then.
    leased_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    # With its file it is forgotten then.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("work on many orders")
        verbose_name_plural = _("work on many orders")
        indexes = [
            models.Index(fields=["id"], name="bulk_open", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.seen}/{self.total}"

    @property
    def open(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.seen // self.total) if self.total else 0


class BulkPart(models.Model):
    """A piece of a task's file: the rows of one slice, or the finished workbook."""

    task = models.ForeignKey(BulkTask, models.CASCADE, related_name="parts", db_index=False)
    # The key of its first order; the workbook's is 0.
    number = models.BigIntegerField()
    # It names buyers.
    sealed = models.TextField(editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "number"], name="one_part_of_a_slice")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.number}"
