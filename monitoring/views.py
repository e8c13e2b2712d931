"""Health, for load balancers and watchdogs: no sign-in, no data."""

import logging

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from monitoring.models import Heartbeat

log = logging.getLogger(__name__)


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
    return JsonResponse({"ready": True, "database": "reachable", "heartbeat_seconds": beats})
