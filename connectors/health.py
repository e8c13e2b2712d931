"""A connection's circuit and state: when it rests, when it waits for a person, when it is well again."""

import random
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.utils import timezone

from connectors.failures import Category, Failure, NotYet
from connectors.models import Connection, Job

# One bad answer is no outage; for a connection with a few calls a minute more would take too long to notice.
OPENS_AFTER = 5
FIRST_REST = 3.0
# An outage's end is noticed at most this much later.
LONGEST_REST = 60.0
# A limit by the second gives again after one; one by the day is asked no more than once a minute.
FIRST_THROTTLE = 1.0
LONGEST_THROTTLE = 60.0
# A limit of one operation may be closed for hours while others are open.
OTHERS_HELD = timedelta(seconds=5)


def resting(connection: Connection, now: datetime | None = None) -> bool:
    return connection.rest_until is not None and connection.rest_until > (now or timezone.now())


def throttled(connection: Connection) -> bool:
    return connection.throttled_until is not None and connection.throttled_until > timezone.now()


def throttle(connection: Connection, failure: Failure) -> None:
    """Nothing more is begun until the limit gives again. One row, however many jobs wait.

    A service that says no time is asked again soon, then ever later as long as nothing succeeds. One that says a long
    one may mean a single operation, which its own budget holds back: the others go on after seconds.
    """
    now = timezone.now()
    # Ours without a status: the hub's own budget, which knows its time.
    counts = int(failure.status is not None)
    pause = counts * min(LONGEST_THROTTLE, FIRST_THROTTLE * 2 ** min(connection.throttles, 10))
    until = max(min(failure.retry_at or now, now + OTHERS_HELD), now + timedelta(seconds=pause))
    # Calls that were under way together are told together: that counts once.
    free = Q(throttled_until=None) | Q(throttled_until__lte=now)
    Connection.objects.filter(free, pk=connection.pk).update(throttled_until=until, throttles=F("throttles") + counts)


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
    if not connection.failures and not connection.throttles:
        return
    was_open = probing(connection)
    connection.failures, connection.rest_until, connection.throttles = 0, None, 0
    Connection.objects.filter(pk=connection.pk).update(failures=0, rest_until=None, throttles=0, last_error="")
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
