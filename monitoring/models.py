from django.db import models


class Heartbeat(models.Model):
    """When a running part last showed that it lives. The task that writes it is sent by beat and run by a worker,
    so that a young one proves both.
    """

    name = models.CharField(max_length=60, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
