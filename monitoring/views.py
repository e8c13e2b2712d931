"""Health, for load balancers and watchdogs: no sign-in, no data."""

import logging

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from monitoring.alerts import rescue
from monitoring.models import Heartbeat

log = logging.getLogger(__name__)

# The clock sends a heartbeat each 15 seconds and a worker runs it; some may come late.
LONGEST_SILENCE_SECONDS = 90.0


def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"live": True})


def ready(request: HttpRequest) -> JsonResponse:
    """The database answers (200, otherwise 503); `heartbeat_seconds` is the age of each heartbeat.

    A server whose workers are away can still show pages and take pushes: that alone does not make it unready.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        beats = {beat.name: round((timezone.now() - beat.at).total_seconds(), 1) for beat in Heartbeat.objects.all()}
    except Error as error:
        log.warning("Not ready: %s", error)
        return JsonResponse({"ready": False, "database": "unreachable"}, status=503)
    rescue.call_for_help(beats.get(Heartbeat.WORKER, 0.0))
    return JsonResponse({"ready": True, "database": "reachable", "heartbeat_seconds": beats})


def beat(request: HttpRequest) -> JsonResponse:
    """The whole hub works (200, otherwise 503): the database answers, the clock sent a heartbeat and a worker ran it.

    For a watch from outside. `heartbeat_seconds` is its age; null if there has not been one.
    """
    try:
        found = Heartbeat.objects.filter(name=Heartbeat.WORKER).first()
    except Error as error:
        log.warning("No heartbeat: %s", error)
        return JsonResponse({"beating": False, "database": "unreachable"}, status=503)
    age = (timezone.now() - found.at).total_seconds() if found else None
    beating = age is not None and age <= LONGEST_SILENCE_SECONDS
    rescue.call_for_help(age or 0.0)
    answer = {"beating": beating, "database": "reachable", "heartbeat_seconds": age if age is None else round(age, 1)}
    return JsonResponse(answer, status=200 if beating else 503)
