"""What may be kept of a call: by name (keys that hold secrets or people) and by value (the secrets in use)."""

import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from orders.documents import storable

MASK = "•••"
# Enough to see what was said; the inbox keeps documents whole.
LONGEST_BODY = 16_000

_HIDDEN_NAMES = (
    "access_token|refresh_token|client_secret|password|secret|token|code|code_verifier|session|"
    "authorization|x-amz-access-token|api_key|apikey|restrictedDataToken|signature|accessKey"
)
_PERSONAL = (
    "email|buyerEmail|emailNotaFiscal|phone|receiver_phone|telefone|celular|numeroDocumento|"
    "document_number|taxId|cpf|cnpj|CPF"
)
_NAMES = {name.lower() for name in _HIDDEN_NAMES.split("|")}
_FORM = re.compile(rf"(^|&)((?:{_HIDDEN_NAMES})=)[^&]*", re.IGNORECASE)
_XML = re.compile(r"<(CPF|CNPJ|xNome|email|fone)>[^<]*</\1>")


@cache
def _fields(names: frozenset[str]) -> re.Pattern[str]:
    every = "|".join([_HIDDEN_NAMES, _PERSONAL, *map(re.escape, sorted(names))])
    return re.compile(rf'("(?:{every})"\s*:\s*)("(?:[^"\\]|\\.)*"|\d+)', re.IGNORECASE)


def body(content: bytes | str | None, secrets: Iterable[str] = (), names: frozenset[str] = frozenset()) -> str:
    """At most `LONGEST_BODY` characters, secrets and personal fields masked, and the service's own fields `names`."""
    if not content:
        return ""
    text = content[: LONGEST_BODY * 4].decode("utf-8", "replace") if isinstance(content, bytes) else content
    text = storable(text[:LONGEST_BODY])
    text = _fields(names).sub(rf'\1"{MASK}"', text)
    text = _FORM.sub(rf"\1\2{MASK}", text)
    text = _XML.sub(rf"<\1>{MASK}</\1>", text)
    return _values(text, secrets)


def url(address: str, secrets: Iterable[str] = ()) -> str:
    parts = urlsplit(address)
    query = "&".join(
        f"{name}={MASK if name.lower() in _NAMES else quote(value, safe=',:+/')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    host = parts.netloc.rsplit("@", 1)[-1]
    return _values(urlunsplit((parts.scheme, host, parts.path, query, "")), secrets)[:1000]


def _values(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, MASK)
    return text
