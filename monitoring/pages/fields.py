"""What several forms ask for."""

from urllib.parse import urlsplit

from django import forms
from django.utils.translation import gettext as _


def whole_address(text: str) -> None:
    """Raises `ValidationError` where it is no http address with its host."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or any(char.isspace() for char in text):
        raise forms.ValidationError(_("Type the whole address, beginning with https://"))
