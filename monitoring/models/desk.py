"""A person's own lists, and work over many orders."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hub.models import Seller


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
        ASSIGN = "assign", _("Say who sees to them")
        RULE = "rule", _("Apply a rule")
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
    # "ids"; "filter" (parameters of the address); "tag", "carrier"; "assignee", "rule" (keys); "format", "columns";
    # "language".
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
    # All orders up to this key are done (of a file: all parts up to this place); later ones than the last are not part
    # of it.
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
    # Its place in the file, from 1; the workbook's is 0.
    number = models.BigIntegerField()
    # Its orders, as the list had them when the file was begun.
    orders = models.JSONField(default=list)
    # Its rows. They name buyers.
    sealed = models.TextField(blank=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "number"], name="one_part_of_a_slice")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.number}"
