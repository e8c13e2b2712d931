"""Secrets at rest: sealed with the newest of `CREDENTIAL_KEYS`, opened with any of them."""

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class VaultLocked(Exception):
    """None of the CREDENTIAL_KEYS opens this secret. Put the key it was sealed with back into the list."""

    def __str__(self) -> str:
        return self.args[0] if self.args else (self.__doc__ or "")


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "CREDENTIAL_KEYS must be comma-separated Fernet keys (32 bytes, url-safe base64)."
        ) from error


def _current() -> MultiFernet:
    return _fernet(tuple(settings.CREDENTIAL_KEYS))


def seal(secret: dict[str, Any]) -> str:
    return _current().encrypt(json.dumps(secret, sort_keys=True).encode()).decode()


def unseal(sealed: str) -> dict[str, Any]:
    if not sealed:
        return {}
    try:
        opened: dict[str, Any] = json.loads(_current().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise VaultLocked from error
    return opened


def seal_bytes(content: bytes) -> str:
    return _current().encrypt(content).decode()


def unseal_bytes(sealed: str) -> bytes:
    try:
        return _current().decrypt(sealed.encode())
    except InvalidToken as error:
        raise VaultLocked from error


def reseal(sealed: str) -> str:
    """The same secret under the newest key; its time stamp stays."""
    try:
        return _current().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise VaultLocked from error


def is_current(sealed: str) -> bool:
    """Whether the newest key alone opens it."""
    try:
        Fernet(settings.CREDENTIAL_KEYS[0]).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True
