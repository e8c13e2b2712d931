"""Calls for help where nobody is left to look: without workers or clock the alerts' own task does not run. Whoever asks
this hub for its health (a load balancer, a container's check, a watch from outside) then sets the look going.
"""

import logging
import threading

from django.db import close_old_connections, connection

from monitoring.alerts import sending, watch

log = logging.getLogger(__name__)

# Long enough for a restart of the workers.
PATIENCE_SECONDS = 180.0

_running = threading.Lock()


def call_for_help(silent_seconds: float) -> None:
    """Does nothing as long as workers live. The look has a thread of its own: health must answer at once."""
    if silent_seconds > PATIENCE_SECONDS and not _running.locked():
        threading.Thread(target=look, name="alerts", daemon=True).start()


def look() -> None:
    """As the task does it; `watch.tick` sees to it that there is one at a time, whoever asks."""
    if not _running.acquire(blocking=False):
        return
    try:
        close_old_connections()
        watch.tick()
        sending.send_due()
    except Exception:  # a thread has nobody who would hear of it
        log.exception("alerts without workers")
    finally:
        connection.close()
        _running.release()
