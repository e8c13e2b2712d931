import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

application = get_wsgi_application()
# What starting has left stays: looking through it again and again would be a tenth of every page's time.
gc.collect()
gc.freeze()
