import logging
from typing import Any

from celery import Task, shared_task
from celery.signals import before_task_publish
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from connectors.failures import Failure
from connectors.tasks import stopping
from hub.people import tidying
from monitoring.alerts import channels, sending, silence, watch
from monitoring.desk import bulk as desk
from monitoring.incidents import gather as incidents
from monitoring.insights import tally as insights
from monitoring.models import Heartbeat
from monitoring.packing import fetching as labels
from monitoring.reconciliation import census, checks
from monitoring.reports import usual
from monitoring.system import samples
from monitoring.system.parts import WORKER
from orders import priority

log = logging.getLogger(__name__)

# Of orders weighed in one go: a seller's new weights take some rounds, and nobody else waits for them.
MOST_BATCHES = 20
# Then others have their turn; the clock goes on with what is left.
BULK_SECONDS = 20


@shared_task(name="monitoring.heartbeat", bind=True)
def heartbeat(self: "Task[[], None]") -> None:
    """Sent by the clock, run by a worker: proves both. Under the worker's name, too: a missing one shows."""
    now = timezone.now()
    for name in (Heartbeat.WORKER, f"{WORKER}{self.request.hostname or 'here'}"[:60]):
        Heartbeat.objects.update_or_create(name=name, defaults={"at": now})


@before_task_publish.connect(sender="monitoring.heartbeat")
def tick(**_signal: Any) -> None:
    """In the clock's own process, before the broker is asked: proves the clock alone."""
    close_old_connections()
    Heartbeat.objects.update_or_create(name=Heartbeat.CLOCK, defaults={"at": timezone.now()})


@shared_task(name="monitoring.sample")
def sample() -> None:
    samples.take()


@shared_task(name="monitoring.gather")
def gather(**_later: Any) -> None:
    incidents.gather()


@shared_task(name="monitoring.alert")
def alert(**_later: Any) -> None:
    """Every 30 seconds: what is there to call for, and whatever is to be sent."""
    watch.tick()
    sending.send_due(stopping)


@shared_task(name="monitoring.learn")
def learn(**_later: Any) -> None:
    """What is usual, once a day for each channel; looked at more often, so that a new one need not wait for it."""
    silence.learn_all()
    sending.prune(timezone.now())
    labels.prune(timezone.now())
    desk.prune()
    tidying.tidy(timezone.now())


@shared_task(name="monitoring.ping")
def ping(**_later: Any) -> None:
    """Tells the outside that clock, broker, worker and database work: this ran, and the row could be read."""
    if not settings.HEARTBEAT_URL or not Heartbeat.objects.exists():
        return
    try:
        channels.call("GET", settings.HEARTBEAT_URL, of_operator=True)
    except Failure as failure:
        log.warning("HEARTBEAT_URL: %s", failure)


@shared_task(name="monitoring.learn_times")
def learn_times(**_later: Any) -> None:
    """How long each step usually takes, by channel and carrier."""
    usual.learn()


@shared_task(name="monitoring.compare")
def compare(**_later: Any) -> None:
    """Asks for the lists that are due, and looks at what came of reads and repairs. The comparing is the ledger's."""
    if census.schedule():
        census.prune()
    checks.settle()


@shared_task(name="monitoring.tally")
def tally(**_later: Any) -> None:
    """The counts that the insights are read from."""
    insights.tick()


@shared_task(name="monitoring.rank")
def rank(**_later: Any) -> None:
    """The part of the open orders' priority that the clock does not change."""
    for _batch in range(MOST_BATCHES):
        if priority.rank() < priority.BATCH or stopping():
            return


@shared_task(name="monitoring.bulk")
def bulk(pk: int | None = None, **_later: Any) -> None:
    """Work over many orders, begun by a person: this task of it, or all that is open."""
    desk.run(BULK_SECONDS, stopping, pk)
