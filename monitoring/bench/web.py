"""The hub's own web application, with the addresses of `web_urls`."""

from django.conf import settings

from hub.wsgi import application

settings.ROOT_URLCONF = "monitoring.bench.web_urls"

__all__ = ["application"]
