"""What is usual: the measure of silence and of standing still."""

from django.db import models
from django.utils import timezone

from connectors.models import Connection
from hub.models import Seller


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
