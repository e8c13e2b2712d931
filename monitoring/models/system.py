"""Signs of life, and how each connection did minute by minute."""

from django.db import models

from connectors.models import Connection


class Heartbeat(models.Model):
    """When a running part last showed that it lives. CLOCK is written by beat where it sends the heartbeat, WORKER by
    the worker that runs it: one without the other tells which of them is away.
    """

    CLOCK, WORKER = "clock", "worker"

    name = models.CharField(max_length=60, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


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
