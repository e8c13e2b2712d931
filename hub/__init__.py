"""The Django project and the tenant: settings, urls, Celery, sellers and their people."""

from hub.celery import app as celery_app

__all__ = ["celery_app"]
