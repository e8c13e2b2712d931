"""Connections to the outside, what they announced, the ledger of work, and the recorded calls."""

import secrets
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hub import vault
from hub.models import Seller
from orders.models import Order, SalesChannel


def push_key() -> str:
    """Unguessable: where a service signs nothing, the path is the defence."""
    return secrets.token_urlsafe(24)


class Connection(models.Model):
    """One seller's account at one service. `kind` is a plain string: a new service needs no migration."""

    class State(models.TextChoices):
        NEW = "new", _("Never set up")
        ACTIVE = "active", _("Active")
        PAUSED = "paused", _("Paused")
        SIGN_IN = "sign_in", _("Needs sign-in")

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="connections")
    kind = models.CharField(_("service"), max_length=40)
    role = models.CharField(max_length=10)
    name = models.CharField(_("name"), max_length=80)
    # A channel's orders hang on this; an ERP has none.
    channel = models.OneToOneField(SalesChannel, models.PROTECT, null=True, blank=True, related_name="connection")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.NEW)
    state_reason = models.TextField(blank=True)
    # Operations that rest while the others run ("export", "send_invoice", "poll").
    paused_flows = models.JSONField(default=list, blank=True)
    # The person's choices, without secrets; `hosts` inside replaces the service's addresses.
    settings = models.JSONField(default=dict, blank=True)
    external_account = models.CharField(_("account"), max_length=120, blank=True, db_index=True)
    push_key = models.CharField(max_length=64, unique=True, default=push_key, editable=False)
    last_push_at = models.DateTimeField(null=True, blank=True)

    # The poll's due-queue.
    start_at = models.DateTimeField(_("orders since"), default=timezone.now)
    cursor = models.JSONField(default=dict, blank=True)
    next_poll_at = models.DateTimeField(_("next sync"), default=timezone.now)
    poll_lease_until = models.DateTimeField(null=True, blank=True)
    poll_failures = models.PositiveIntegerField(default=0)
    last_poll_at = models.DateTimeField(_("last sync"), null=True, blank=True)
    last_poll_ok_at = models.DateTimeField(null=True, blank=True)
    last_poll_found = models.PositiveIntegerField(default=0)
    last_poll_new = models.PositiveIntegerField(default=0)
    last_error = models.TextField(_("last error"), blank=True)

    # The circuit: after repeated transient failures the connection rests, then one job probes.
    failures = models.PositiveIntegerField(default=0)
    rest_until = models.DateTimeField(null=True, blank=True)
    # A limit of calls that is used up: nothing is begun before. How often in a row the service itself said so.
    throttled_until = models.DateTimeField(null=True, blank=True)
    throttles = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        indexes = [
            models.Index(fields=["next_poll_at"], name="connection_poll_due", condition=Q(state="active")),
        ]

    def __str__(self) -> str:
        return self.name


class Credential(models.Model):
    """The connection's secrets, sealed. Only `connectors.tokens` and the set-up pages touch it."""

    connection = models.OneToOneField(Connection, models.CASCADE, primary_key=True, related_name="credential")
    sealed = models.TextField(default="")
    # When the access token dies, and when the consent does, where known; for refreshing in time and the countdown.
    expires_at = models.DateTimeField(null=True, blank=True)
    consent_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("credential")

    def __str__(self) -> str:
        return f"credential of {self.connection_id}"

    def open(self) -> dict[str, Any]:
        return vault.unseal(self.sealed)


class InboxEntry(models.Model):
    """A document as it was announced, verbatim, before anything interpreted it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        READ = "read", _("Read")
        REJECTED = "rejected", _("Could not be read")
        IGNORED = "ignored", _("Of no use here")
        CLOSED = "closed", _("Handled by hand")

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="inbox", db_index=False)
    external_id = models.CharField(_("document"), max_length=200, blank=True)
    # sha256 of the body: the same document announced again is no second row.
    digest = models.CharField(max_length=64)
    body = models.BinaryField()
    source = models.CharField(_("came by"), max_length=10)
    topic = models.CharField(max_length=80, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    error = models.TextField(_("error"), blank=True)
    error_path = models.CharField(max_length=255, blank=True)
    # `failures.cause_of` of the error: equal ones are one incident.
    cause = models.CharField(max_length=16, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    order = models.ForeignKey(Order, models.SET_NULL, null=True, blank=True, related_name="+")
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("announced document")
        verbose_name_plural = _("announced documents")
        constraints = [
            models.UniqueConstraint(fields=["connection", "external_id", "digest"], name="one_entry_per_document")
        ]
        indexes = [
            models.Index(
                fields=["connection", "received_at"],
                name="inbox_open",
                condition=Q(state__in=["waiting", "rejected"]),
            ),
            models.Index(fields=["received_at"], name="inbox_age"),
        ]

    def __str__(self) -> str:
        return self.external_id


class Link(models.Model):
    """Our order and the ERP's: written the moment the ERP's id is known."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="links")
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="links")
    external_id = models.CharField(max_length=120)
    number = models.CharField(_("number in the ERP"), max_length=120, blank=True)
    raw_status = models.CharField(max_length=120, blank=True)
    total = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    cancelled = models.BooleanField(default=False)
    complete = models.BooleanField(default=False)
    attention = models.TextField(blank=True)
    # "adopted": it was found, not created by us.
    adopted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("ERP order")
        constraints = [
            models.UniqueConstraint(fields=["order", "connection"], name="one_erp_order_per_order"),
            models.UniqueConstraint(fields=["connection", "external_id"], name="one_order_per_erp_order"),
        ]
        indexes = [models.Index(fields=["connection", "read_at"], name="link_open", condition=Q(complete=False))]

    def __str__(self) -> str:
        return self.number or self.external_id


class Job(models.Model):
    """A step that must happen outside, exactly once. The table is the queue; see `ledger`."""

    class State(models.TextChoices):
        READY = "ready", _("Waiting")
        RUNNING = "running", _("Running")
        UNKNOWN = "unknown", _("Outcome unknown")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Needs a person")
        CLOSED = "closed", _("Handled by hand")

    # No index of its own: with stale statistics the planner would take it for the claim and read every job there was.
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="jobs", db_index=False)
    operation = models.CharField(_("operation"), max_length=20)
    # What it is about, unique within operation and connection: "order:12", "invoice:7", a document's id.
    key = models.CharField(max_length=200)
    order = models.ForeignKey(Order, models.CASCADE, null=True, blank=True, related_name="jobs")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.READY)
    priority = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField(_("next try"), default=timezone.now)
    attempts = models.PositiveIntegerField(_("tries"), default=0)
    # A write may have happened outside: it is looked up before anything is sent again.
    uncertain = models.BooleanField(default=False)
    # How often a search for an uncertain write came back empty; it is believed only the second time.
    absences = models.PositiveSmallIntegerField(default=0)
    lease = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    # Asked for again while it ran: it is due once more after it.
    asked_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    input = models.JSONField(default=dict, blank=True)
    category = models.CharField(max_length=12, blank=True)
    code = models.CharField(max_length=80, blank=True)
    error = models.TextField(_("error"), blank=True)
    # `failures.cause_of` of the error: equal ones are one incident.
    cause = models.CharField(max_length=16, blank=True)
    failed_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("sync job")
        verbose_name_plural = _("sync jobs")
        constraints = [models.UniqueConstraint(fields=["connection", "operation", "key"], name="one_job_per_step")]
        indexes = [
            # The claim's own order: priority first, then who waits longest.
            models.Index(
                F("connection"), F("priority").desc(), F("due_at"),
                name="job_due", condition=Q(state__in=["ready", "unknown"]),
            ),
            models.Index(fields=["due_at"], name="job_due_any", condition=Q(state__in=["ready", "unknown"])),
            models.Index(fields=["connection", "lease_until"], name="job_leased", condition=Q(state="running")),
            models.Index(fields=["connection", "state"], name="job_open", condition=~Q(state="done")),
            models.Index(fields=["connection", "operation", "cause"], name="job_cause", condition=~Q(cause="")),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"


class Exchange(models.Model):
    """One call to the outside, redacted."""

    # The indexes below begin with these two: an index of each alone would only slow writing down.
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="exchanges", db_index=False)
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="exchanges")
    order = models.ForeignKey(Order, models.CASCADE, null=True, blank=True, related_name="exchanges", db_index=False)
    operation = models.CharField(max_length=60)
    method = models.CharField(max_length=8)
    url = models.TextField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    request_body = models.TextField(blank=True)
    response_body = models.TextField(blank=True)
    category = models.CharField(max_length=12, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField()

    class Meta:
        verbose_name = _("recorded call")
        verbose_name_plural = _("recorded calls")
        indexes = [
            models.Index(fields=["order", "started_at"], name="exchange_of_order", condition=Q(order__isnull=False)),
            models.Index(fields=["connection", "started_at"], name="exchange_of_connection"),
            models.Index(fields=["started_at"], name="exchange_age"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class Budget(models.Model):
    """A rate budget that all workers share: the time up to which its calls are already handed out."""

    key = models.CharField(max_length=160, primary_key=True)
    # Theoretical arrival time of the next call (GCRA), epoch seconds.
    taken_until = models.FloatField(default=0)
    # The service said: not before this.
    closed_until = models.FloatField(default=0)

    def __str__(self) -> str:
        return self.key


class Backfill(models.Model):
    """A period read again on request, at the lowest priority."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="backfills")
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"))
    cursor = models.JSONField(default=dict, blank=True)
    pages = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(_("found"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    error = models.TextField(blank=True)
    asked_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("backfill")
        verbose_name_plural = _("backfills")

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"
