import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
# Reads every page's module: nobody's first page waits for that.
get_resolver().url_patterns  # noqa: B018
# What starting has left stays: the collector need not look through it again and again.
gc.collect()
gc.freeze()
