"""Reads the environment. What is not given gets a value that is safe, never one that is merely convenient."""

import json
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


def words(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def mail(url: str) -> dict[str, Any]:
    """Django's settings for `smtp://user:password@host:587`: `smtp+tls` begins in the clear and changes over
    (STARTTLS), `smtps` is encrypted from the first byte. What is special in user or password is percent-encoded.
    """
    parts = urlsplit(url)
    if parts.scheme not in MAIL_PORTS or not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or MAIL_PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


def home() -> Path:
    """Where the embedded hub keeps its database and its own generated keys (`HUB_HOME`, by default ./var)."""
    return Path(os.environ.get("HUB_HOME", Path(__file__).resolve().parent.parent / "var"))


def generated_keys(folder: Path) -> dict[str, str]:
    """The embedded hub's own keys, made once and kept readable by its owner alone."""
    path = folder / "keys.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        keys = {"SECRET_KEY": secrets.token_urlsafe(48), "CREDENTIAL_KEYS": Fernet.generate_key().decode()}
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(keys, file)
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded
