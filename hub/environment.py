"""Reads the environment. What is not given gets a value that is safe, never one that is merely convenient."""

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


def words(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


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
