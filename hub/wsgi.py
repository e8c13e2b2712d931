import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
# What starting has left stays: the collector need not look through it again and again.
gc.collect()
gc.freeze()
