from celery import shared_task
from django.utils import timezone

from monitoring.models import Heartbeat

WORKER = "worker"


@shared_task(name="monitoring.heartbeat")
def heartbeat() -> None:
    Heartbeat.objects.update_or_create(name=WORKER, defaults={"at": timezone.now()})
