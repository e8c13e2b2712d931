"""What may be kept of a call: by name (keys that hold secrets or people) and by value (the secrets in use)."""

import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from stdnum.br import cnpj, cpf

from orders.documents import storable

MASK = "•••"
# Enough to see what was said; the inbox keeps documents whole.
LONGEST_BODY = 16_000
# Read beyond that, so that a secret which the cut would go through is masked whole.
OVERLAP = 4_000

_HIDDEN_NAMES = (
    "access_token|refresh_token|client_secret|password|secret|token|code|code_verifier|session|"
    "authorization|x-amz-access-token|api_key|apikey|restrictedDataToken|signature|accessKey"
)
_PERSONAL = (
    "email|buyerEmail|emailNotaFiscal|phone|receiver_phone|telefone|celular|fone|document|numeroDocumento|"
    "document_number|doc_number|taxId|taxRegistrationNumber|cpf|cnpj|rg|"
    "name|nome|buyer_name|buyerName|first_name|last_name|receiver_name|recipient|nickname|legalName|companyName|"
    "buyerCompanyName|fantasia|contato|"
    "street|streetName|street_name|street_number|streetNumber|address_line|addressLine1|addressLine2|addressLine3|"
    "addressInstruction|endereco|logradouro|complemento|complement|zip_code|cep|postalCode"
)
_QUOTED_MASK = quote(MASK)
_NAMES = {name.lower() for name in f"{_HIDDEN_NAMES}|{_PERSONAL}".split("|")}
_FORM = re.compile(rf"(^|&)((?:{_HIDDEN_NAMES})=)[^&]*", re.IGNORECASE)
# People by the form of their data, whatever its name: an e-mail address; a CPF or CNPJ whose check digits are right.
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_NUMBER = re.compile(r"(?<![\w.])(?:\d{11}|\d{3}\.\d{3}\.\d{3}-\d{2}|\d{14}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2})(?![\w.])")
_XML = re.compile(r"<(CPF|CNPJ|xNome|email|fone)>[^<]*</\1>")


_FIELD = re.compile(r'("([A-Za-z][\w-]*)"\s*:\s*)("(?:[^"\\]|\\.)*+(?:"|\\?$)|\d+)')


@cache
def _hidden(names: frozenset[str]) -> frozenset[str]:
    return frozenset(_NAMES) | {name.lower() for name in names}


def body(content: bytes | str | None, secrets: Iterable[str] = (), names: frozenset[str] = frozenset()) -> str:
    """At most `LONGEST_BODY` characters, secrets and personal fields masked, and the service's own fields `names`."""
    if not content:
        return ""
    text = content[: LONGEST_BODY * 4].decode("utf-8", "replace") if isinstance(content, bytes) else content
    text = storable(text[: LONGEST_BODY + OVERLAP])
    hidden = _hidden(names)
    text = _FIELD.sub(lambda found: f'{found[1]}"{MASK}"' if found[2].lower() in hidden else found[0], text)
    text = _FORM.sub(rf"\1\2{MASK}", text)
    text = _XML.sub(rf"<\1>{MASK}</\1>", text)
    return _values(people(text), secrets)[:LONGEST_BODY]


def people(text: str) -> str:
    """Without what is a person's by its form, for texts that have no names: errors, a service's own words."""
    if "@" in text:
        text = _EMAIL.sub(MASK, text)
    return _NUMBER.sub(lambda found: MASK if _is_tax_id(found[0]) else found[0], text)


def _is_tax_id(number: str) -> bool:
    return cpf.is_valid(number) or cnpj.is_valid(number)


def url(address: str, secrets: Iterable[str] = ()) -> str:
    parts = urlsplit(address)
    query = "&".join(
        f"{name}={MASK if name.lower() in _NAMES else quote(people(value), safe=',:+/').replace(_QUOTED_MASK, MASK)}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    host = parts.netloc.rsplit("@", 1)[-1]
    return _values(urlunsplit((parts.scheme, host, parts.path, query, "")), secrets)[:1000]


def _values(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, MASK)
    return text
