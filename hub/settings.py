"""The one settings module. Embedded by default; `DATABASE_URL` and `REDIS_URL` make it production.

docs/settings.md lists every variable.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _
from pythonjsonlogger.core import RESERVED_ATTRS

from hub.environment import flag, generated_keys, home, mail, words

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = home()

DATABASE_URL = os.environ.get("DATABASE_URL", "")
REDIS_URL = os.environ.get("REDIS_URL", "")
# Embedded: one process, SQLite, no broker. It makes its own keys; a server's keys come from its environment.
EMBEDDED = not DATABASE_URL
DEBUG = flag("DEBUG")

_keys = generated_keys(HOME) if EMBEDDED else {}


def _required(name: str, how: str) -> str:
    value = os.environ.get(name) or _keys.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {how}")
    return value


SECRET_KEY = _required("SECRET_KEY", "Set it to a long random text that stays the same between starts.")
# Newest first; the others still decrypt. Never derived from SECRET_KEY, so that either can be rotated alone.
CREDENTIAL_KEYS = [
    key.strip()
    for key in _required(
        "CREDENTIAL_KEYS",
        "Make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
    ).split(",")
    if key.strip()
]

ALLOWED_HOSTS = words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]" if EMBEDDED or DEBUG else "")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")
# The address under which channels and people reach this hub: OAuth redirects, push addresses, links in e-mails.
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")

# Loopback addresses are refused for addresses a person typed, unless the simulators are in use.
SIMULATORS = flag("SIMULATORS", default=EMBEDDED)
# Own machines that connections may reach all the same: an ERP in the house, by host name or address.
PRIVATE_HOSTS = words("PRIVATE_HOSTS")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "hub.frame.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "csp",
    "rest_framework",
    "hub",
    "orders",
    "connectors",
    "monitoring",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "hub.people.middleware.Headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "hub.people.middleware.Person",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "hub.urls"
WSGI_APPLICATION = "hub.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": dict(
        dj_database_url.parse(
            DATABASE_URL or f"sqlite:///{HOME / 'entreposto.sqlite3'}",
            conn_max_age=int(os.environ.get("CONN_MAX_AGE", "300")),
            # Without it the first query after a database restart fails.
            conn_health_checks=True,
        )
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Threads share a file as they do when the hub runs; an in-memory database locks differently.
    DATABASES["default"]["TEST"] = {"NAME": HOME / "test.sqlite3"}
    DATABASES["default"]["OPTIONS"] = {
        # Immediate: a reader that becomes a writer would otherwise fail with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "hub.people.sessions.EndOnNewPassword"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Five wrong passwords of one person from one address, then a quarter of an hour's rest. From elsewhere the person
# can still sign in: nobody locks somebody else out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "hub.people.activity.address_of"
AXES_LOCKOUT_CALLABLE = "monitoring.pages.people.locked_out"
# The activity log of ours holds who signed in.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# The link to a new password.
PASSWORD_RESET_TIMEOUT = 3600
OTP_TOTP_ISSUER = "Entreposto"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

LANGUAGE_CODE = "pt-br"
LANGUAGES = [("pt-br", "Português (Brasil)"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "hub" / "locale"]
USE_I18N = True
USE_TZ = True
# Stored in UTC; shown in the zone people here live in.
TIME_ZONE = os.environ.get("TIME_ZONE", "America/Sao_Paulo")

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "hub" / "static"]
# Finders serve the packages' own files; no build step between a change and the page.
WHITENOISE_USE_FINDERS = True

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

HTTPS = PUBLIC_URL.startswith("https://")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("BEHIND_PROXY") else None
SECURE_SSL_REDIRECT = HTTPS and not DEBUG
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Containers and load balancers probe over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# docs/security.md says why of each line, and what is not possible.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'"],
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
# A push body larger than this is refused before it is read into memory.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# Prometheus sends it as a bearer token; without one only the embedded hub answers.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")

EMAIL_URL = os.environ.get("EMAIL_URL", "")
EMAIL_BACKEND = os.environ.get(
    "EMAIL_BACKEND", f"django.core.mail.backends.{'smtp' if EMAIL_URL else 'console'}.EmailBackend"
)
# A mail server that is silent must not hold up the other messages.
EMAIL_TIMEOUT = 10
globals().update(mail(EMAIL_URL) if EMAIL_URL else {})
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "Entreposto <nao-responda@localhost>")
TELEGRAM_URL = os.environ.get("TELEGRAM_URL", "https://api.telegram.org").rstrip("/")
# Called once a minute as long as workers, clock and database are alive: whoever is called there misses it otherwise.
HEARTBEAT_URL = os.environ.get("HEARTBEAT_URL", "")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

# Channel, hub and ERP are compared: today and yesterday each so many seconds, so many days back each night.
COMPARE_SECONDS = int(os.environ.get("COMPARE_SECONDS", "3600"))
COMPARE_DAYS = int(os.environ.get("COMPARE_DAYS", "7"))

# The longest task (a drain slice plus one call) stays far below both limits and the visibility time-out.
TASK_SOFT_LIMIT_SECONDS = 120
TASK_LIMIT_SECONDS = 150
VISIBILITY_TIMEOUT_SECONDS = 600

# Pictures of products on disk: Redis carries the work and must never be full of them.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "pictures": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": HOME / "pictures",
        "OPTIONS": {"MAX_ENTRIES": 500},
    },
}

_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        # A lost worker's messages are looked for once a second, not once in a hundred.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
    }
    if REDIS_URL
    # The in-process transport looks once a second out of the box.
    else {"polling_interval": 0.01}
)
CELERY: dict[str, Any] = {
    "broker_url": REDIS_URL or "memory://localhost/",
    "broker_transport_options": _TRANSPORT_OPTIONS,
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_ignore_result": True,
    # Celery would connect to the database anew for each task; see `hub.celery`.
    "CELERY_DB_REUSE_MAX": 2**62,
    "task_acks_late": True,
    # Late acknowledgement alone still loses the task of a killed child; attempts are counted in the ledger.
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "task_soft_time_limit": TASK_SOFT_LIMIT_SECONDS,
    "task_time_limit": TASK_LIMIT_SECONDS,
    "worker_soft_shutdown_timeout": 15,
    "worker_enable_soft_shutdown_on_idle": True,
    "worker_max_tasks_per_child": 20_000,
    "worker_max_memory_per_child": 400_000,
    # Publishing is a hint: it may fail, but may not hold up the one who gives it.
    "task_publish_retry": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "timezone": "UTC",
    "task_default_queue": "hub",
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "beat_schedule": {
        "dispatch": {"task": "connectors.dispatch", "schedule": 1.0, "options": {"expires": 5}},
        "recover": {"task": "connectors.recover", "schedule": 5.0, "options": {"expires": 10}},
        "refresh_tokens": {
            "task": "connectors.refresh_tokens",
            "schedule": 60.0,
            "options": {"expires": 120},
        },
        "watch": {"task": "connectors.watch", "schedule": 600.0, "options": {"expires": 600}},
        # At night, here.
        "learn_times": {
            "task": "monitoring.learn_times",
            "schedule": crontab(hour="6", minute="20"),
            "options": {"expires": 3600},
        },
        "gather": {"task": "monitoring.gather", "schedule": 5.0, "options": {"expires": 10}},
        "sample": {"task": "monitoring.sample", "schedule": 60.0, "options": {"expires": 60}},
        "alert": {"task": "monitoring.alert", "schedule": 30.0, "options": {"expires": 30}},
        "learn": {"task": "monitoring.learn", "schedule": 600.0, "options": {"expires": 600}},
        "ping": {"task": "monitoring.ping", "schedule": 60.0, "options": {"expires": 60}},
        "heartbeat": {"task": "monitoring.heartbeat", "schedule": 15.0, "options": {"expires": 30}},
        "bulk": {"task": "monitoring.bulk", "schedule": 5.0, "options": {"expires": 10}},
        "rank": {"task": "monitoring.rank", "schedule": 15.0, "options": {"expires": 15}},
        "tally": {"task": "monitoring.tally", "schedule": 60.0, "options": {"expires": 60}},
        "compare": {"task": "monitoring.compare", "schedule": 60.0, "options": {"expires": 60}},
        "prune": {"task": "connectors.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    },
    "beat_schedule_filename": str(HOME / "beat"),
}

# "line" for people, "json" for a log collector.
LOG_FORMAT = os.environ.get("LOG_FORMAT", "line")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"ids": {"()": "hub.logs.Ids"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message} {about}", "style": "{"},
        # Whatever a record carries besides its message (order, connection, job) becomes a field of its own.
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
            "reserved_attrs": [*RESERVED_ATTRS, "about"],
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["ids"]}},
    "root": {
        "handlers": ["console"],
        "level": os.environ.get("LOG_LEVEL", "WARNING" if EMBEDDED else "INFO"),
    },
}

UNFOLD = {
    "SITE_TITLE": "Entreposto",
    "SITE_HEADER": "Entreposto",
    "SITE_SYMBOL": "warehouse",
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,
    "BORDER_RADIUS": "8px",
    "DASHBOARD_CALLBACK": "monitoring.pages.overview.fill",
    "STYLES": [lambda request: reverse("theme"), lambda request: static("hub/pages.css")],
    "SCRIPTS": [lambda request: static("hub/forms.js")],
    "GLOBAL_CALLBACK": "monitoring.pages.people.frame",
    "ACCOUNT": {"navigation": [{"title": _("My account"), "link": reverse_lazy("account")}]},
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("hub/icon.svg")},
    ],
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .018 180)",
            "100": "oklch(94.5% .042 181)",
            "200": "oklch(90% .08 181)",
            "300": "oklch(84% .11 181)",
            "400": "oklch(75% .12 182)",
            "500": "oklch(64% .11 184)",
            "600": "oklch(52.5% .092 185)",
            "700": "oklch(45% .08 186)",
            "800": "oklch(39% .068 187)",
            "900": "oklch(34% .055 188)",
            "950": "oklch(25% .042 192)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": _("Today"), "icon": "today", "link": reverse_lazy("admin:index")},
                    {"title": _("Orders"), "icon": "shopping_cart", "link": reverse_lazy("orders")},
                    {"title": _("Packing"), "icon": "package_2", "link": reverse_lazy("packing")},
                    {"title": _("Reports"), "icon": "fact_check", "link": reverse_lazy("reports")},
                    {
                        "title": _("Failed syncs"),
                        "icon": "sync_problem",
                        "link": reverse_lazy("failures"),
                        "badge": "monitoring.figures.needs_person_badge",
                    },
                    {
                        "title": _("Alerts"),
                        "icon": "notifications",
                        "link": reverse_lazy("alerts"),
                        "badge": "monitoring.pages.alerts.badge",
                    },
                    {"title": _("Comparison"), "icon": "balance", "link": reverse_lazy("comparison")},
                    {"title": _("Insights"), "icon": "insights", "link": reverse_lazy("insights")},
                    {"title": _("Connections"), "icon": "cable", "link": reverse_lazy("connections")},
                    {"title": _("System view"), "icon": "monitor_heart", "link": reverse_lazy("system")},
                    {
                        "title": _("People"),
                        "icon": "group",
                        "link": reverse_lazy("people"),
                        "permission": "monitoring.pages.people.may_see",
                    },
                    {
                        "title": _("Set up"),
                        "icon": "checklist",
                        "link": reverse_lazy("setup"),
                        "permission": "monitoring.pages.setup.may_see",
                    },
                ],
            },
            {
                "title": _("Installation"),
                "separator": True,
                "items": [
                    {
                        "title": _("Accounts"),
                        "icon": "manage_accounts",
                        "link": reverse_lazy("admin:auth_user_changelist"),
                        "permission": "monitoring.pages.shell.runs_installation",
                    },
                    {
                        "title": _("Sellers"),
                        "icon": "storefront",
                        "link": reverse_lazy("admin:hub_seller_changelist"),
                        "permission": "monitoring.pages.shell.runs_installation",
                    },
                ],
            },
        ],
    },
}
