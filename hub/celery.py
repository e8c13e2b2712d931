"""The Celery app. The database is the queue; what travels through the broker are hints."""

import os

from celery import Celery, signals
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

app = Celery("entreposto")


@app.on_configure.connect
def _configure(sender: Celery, **kwargs: object) -> None:
    from django.conf import settings

    sender.conf.update(settings.CELERY)


def _keep_usable_connections(**_signal: object) -> None:
    """As Django does around a request: what is too old or broken is closed, the rest serves the next task."""
    close_old_connections()


signals.task_prerun.connect(_keep_usable_connections, weak=False)
signals.task_postrun.connect(_keep_usable_connections, weak=False)


app.autodiscover_tasks(["connectors", "monitoring"])
