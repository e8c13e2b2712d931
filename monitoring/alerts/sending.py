"""Brings messages to people. A message is claimed before it is sent: two workers do not send the same one, and one
whose worker died meanwhile is sent again. So it may, rarely, come twice; it is never lost. Each carries its number.
"""

import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from django.db.models import F
from django.utils import timezone

from connectors.failures import Category, Failure
from monitoring.alerts import channels, wording
from monitoring.alerts.wording import Message
from monitoring.models import Delivery, Destination

log = logging.getLogger(__name__)

# A worker that died while it sent is replaced after this; no channel takes that long.
LEASE = timedelta(minutes=2)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
# Nearly a day of trying; then it is shown as not sent.
TRIES = 28
# Refused for good: the address or its key is wrong. A few tries all the same, since services err, too.
REFUSED_TRIES = 3
# Then the rest waits for the next turn.
SLICE_SECONDS = 60.0
KEPT = timedelta(days=90)


def enqueue(destination: Destination, message: Message, now: datetime) -> Delivery | None:
    """Written with what calls for it, in the same transaction. None where nobody would read it."""
    if not channels.reachable(destination):
        return None
    return Delivery.objects.create(
        destination=destination,
        purpose=message.purpose,
        subject=message.subject,
        body=message.body,
        data=message.data,
        due_at=now,
    )


def send_due(stopping: Callable[[], bool] = lambda: False) -> int:
    """Sends what is due, the oldest first. Returns how many went out."""
    sent, ends = 0, time.monotonic() + SLICE_SECONDS
    # One that does not answer is asked once in a slice, and holds up nobody else's messages.
    away: set[int] = set()
    while time.monotonic() < ends and not stopping():
        delivery = claim(timezone.now(), away)
        if delivery is None:
            break
        if send(delivery):
            sent += 1
        else:
            away.add(delivery.destination_id)
    return sent


def claim(now: datetime, away: Collection[int] = ()) -> Delivery | None:
    """One that is due, taken by a conditional update: its next try moves behind the lease."""
    due = Delivery.objects.filter(state=Delivery.State.WAITING, due_at__lte=now).exclude(destination__in=away)
    due = due.order_by("due_at", "pk")
    for pk, due_at in due.values_list("pk", "due_at")[:20]:
        mine = Delivery.objects.filter(pk=pk, due_at=due_at, state=Delivery.State.WAITING)
        if mine.update(due_at=now + LEASE, attempts=F("attempts") + 1):
            return Delivery.objects.select_related("destination__seller", "destination__place__user").get(pk=pk)
    return None


def send(delivery: Delivery) -> bool:
    """Sends a claimed one and writes what came of it."""
    try:
        channels.send(delivery)
    except Failure as failure:
        _went_wrong(delivery, failure)
        return False
    except Exception as error:  # a message that dies silently is the worst failure of all
        log.exception("message %s", delivery.pk)
        _went_wrong(delivery, Failure(Category.BUG, f"{type(error).__name__}: {error}"[:300]))
        return False
    now = timezone.now()
    delivery.state, delivery.sent_at, delivery.error = Delivery.State.SENT, now, ""
    delivery.save(update_fields=["state", "sent_at", "error"])
    Destination.objects.filter(pk=delivery.destination_id).update(error="", told_at=now)
    return True


def _went_wrong(delivery: Delivery, failure: Failure) -> None:
    final = delivery.attempts >= (REFUSED_TRIES if failure.category is Category.REJECTED else TRIES)
    delivery.state = Delivery.State.FAILED if final or delivery.purpose == "test" else Delivery.State.WAITING
    delivery.error = failure.message[:500]
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(delivery.attempts - 1, 10))
    delivery.due_at = max(timezone.now() + wait, failure.retry_at or timezone.now())
    delivery.save(update_fields=["state", "error", "due_at"])
    Destination.objects.filter(pk=delivery.destination_id).update(error=delivery.error)


def test(destination: Destination) -> str:
    """Sends a message at once. Returns what went wrong, in the words of `channels`; empty if nothing did."""
    now = timezone.now()
    # Due behind the lease, so that no worker takes it, too.
    delivery = enqueue(destination, wording.of_test(destination), now + LEASE)
    if delivery is None:
        return channels.nobody(destination)
    send(delivery)
    return delivery.error


def again(delivery: Delivery) -> None:
    """A person asks for another round of tries, or for what has arrived to come once more under its number."""
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.WAITING)
    ended.update(state=Delivery.State.WAITING, due_at=timezone.now(), attempts=0, error="")


def prune(now: datetime) -> None:
    Delivery.objects.filter(created_at__lt=now - KEPT).exclude(state=Delivery.State.WAITING).delete()
