"""A connection's circuit and state: when it rests, when it waits for a person, when it is well again."""

import random
from datetime import datetime, timedelta

from django.db.models import F
from django.utils import timezone

from connectors.failures import Category, Failure, NotYet
from connectors.models import Connection, Job

# One bad answer is no outage; for a connection with a few calls a minute more would take too long to notice.
OPENS_AFTER = 5
FIRST_REST = 3.0
# An outage's end is noticed at most this much later.
LONGEST_REST = 60.0


def resting(connection: Connection, now: datetime | None = None) -> bool:
    return connection.rest_until is not None and connection.rest_until > (now or timezone.now())


def probing(connection: Connection) -> bool:
    """After a rest one job at a time goes first, to see whether the service is back."""
    return connection.failures >= OPENS_AFTER


def went_wrong(connection: Connection, failure: Failure) -> None:
    if failure.category is Category.AUTH:
        return sign_in_needed(connection, failure.message)
    if failure.category is not Category.TRANSIENT or isinstance(failure, NotYet):
        return None
    Connection.objects.filter(pk=connection.pk).update(failures=F("failures") + 1, last_error=failure.message[:500])
    connection.refresh_from_db(fields=["failures"])
    if connection.failures >= OPENS_AFTER:
        longest = min(LONGEST_REST, FIRST_REST * 2 ** min(connection.failures - OPENS_AFTER, 10))
        connection.rest_until = timezone.now() + timedelta(seconds=random.uniform(longest / 2, longest))
        Connection.objects.filter(pk=connection.pk).update(rest_until=connection.rest_until)
    return None


def went_well(connection: Connection) -> None:
    """Closes the circuit; what failed while the service was away is due now, not at the end of its own wait."""
    if not connection.failures:
        return
    was_open = probing(connection)
    connection.failures, connection.rest_until = 0, None
    Connection.objects.filter(pk=connection.pk).update(failures=0, rest_until=None, last_error="")
    if was_open:
        Job.objects.filter(
            connection=connection, state=Job.State.READY, category=Category.TRANSIENT, failed_since__isnull=False
        ).update(due_at=timezone.now())


def sign_in_needed(connection: Connection, reason: str) -> None:
    """Nothing is tried until somebody signs in again: a refused key that knocks on gets the account locked."""
    Connection.objects.filter(pk=connection.pk, state=Connection.State.ACTIVE).update(
        state=Connection.State.SIGN_IN, state_reason=reason[:500], last_error=reason[:500]
    )
    connection.state = Connection.State.SIGN_IN
