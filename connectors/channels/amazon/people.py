"""Who bought and where it goes. Amazon withholds each of these fields from applications without the role for it."""

import re
import unicodedata

from stdnum.br import cnpj, cpf

from connectors.reading import Reader, digits, document_number
from orders.documents import Address, Buyer

_NUMBERED = re.compile(r"(?P<street>.+?),\s*(?:n[º°o.]*\s*)?(?P<number>\d[\w./-]{0,19}|s/?n[º°.]?)", re.IGNORECASE)
_STATES = {
    "ACRE": "AC", "ALAGOAS": "AL", "AMAPA": "AP", "AMAZONAS": "AM", "BAHIA": "BA", "CEARA": "CE",
    "DISTRITO FEDERAL": "DF", "ESPIRITO SANTO": "ES", "GOIAS": "GO", "MARANHAO": "MA", "MATO GROSSO": "MT",
    "MATO GROSSO DO SUL": "MS", "MINAS GERAIS": "MG", "PARA": "PA", "PARAIBA": "PB", "PARANA": "PR",
    "PERNAMBUCO": "PE", "PIAUI": "PI", "RIO DE JANEIRO": "RJ", "RIO GRANDE DO NORTE": "RN",
    "RIO GRANDE DO SUL": "RS", "RONDONIA": "RO", "RORAIMA": "RR", "SANTA CATARINA": "SC", "SAO PAULO": "SP",
    "SERGIPE": "SE", "TOCANTINS": "TO",
}  # fmt: skip


def clipped(reader: Reader, key: str, longest: int = 255) -> str:
    """A text that is shown, not matched: too long a one is cut."""
    return reader.text(key, "")[:longest]


def buyer(order: Reader, registration: Reader) -> Buyer:
    """`registration` is the buyer's own of the order's tax registrations, or an empty one."""
    person, address = order.maybe("buyer"), order.maybe("recipient.deliveryAddress")
    names = (
        clipped(registration, "legalName"),
        clipped(person, "buyerCompanyName"),
        clipped(person, "buyerName"),
        clipped(address, "name"),
    )
    return Buyer(
        name=next((name for name in names if name), ""),
        document=_document(registration.text("taxRegistrationNumber", "")),
        email=clipped(person, "buyerEmail"),
        phone=clipped(address, "phone", 120),
    )


def _document(text: str) -> str:
    """CPF or CNPJ by its length: the type that Amazon names is not to be trusted. Lost leading zeros come back."""
    number = document_number(text)[:120]
    for length, valid in ((11, cpf.is_valid), (14, cnpj.is_valid)):
        padded = number.zfill(length)
        if number.isdigit() and length - 2 <= len(number) < length and valid(padded):
            return padded
    return number


def address(given: Reader) -> Address | None:
    """None when there is nothing in it."""
    if not given.raw:
        return None
    fields, line = given.maybe("extendedFields"), clipped(given, "addressLine1")
    street, number = clipped(fields, "streetName"), clipped(fields, "streetNumber", 120)
    if not street:
        found = _NUMBERED.fullmatch(line)
        street, number = (found["street"], number or found["number"]) if found else (line, number)
    return Address(
        recipient=clipped(given, "name") or clipped(given, "companyName"),
        street=street,
        number=number or "S/N",
        complement=clipped(fields, "complement") or _lines(given),
        district=clipped(fields, "neighborhood") or clipped(given, "districtOrCounty"),
        city=clipped(given, "city") or clipped(given, "municipality"),
        state=_state(given),
        postal_code=digits(given.text("postalCode", ""))[:10],
        country=_country(given),
        phone=clipped(given, "phone", 120),
        notes=clipped(given, "addressType") if given.text("addressType", "") == "PICKUP_POINT" else "",
    )


def _lines(given: Reader) -> str:
    return " ".join(filter(None, (clipped(given, "addressLine2"), clipped(given, "addressLine3"))))[:255]


def _state(given: Reader) -> str:
    """The UF, which Amazon gives as two letters or as the state's name."""
    text = given.text("stateOrRegion", "").upper()
    plain = "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))
    if plain in _STATES.values():
        return plain
    if plain and plain not in _STATES:
        given.unknown.append(f"{given.path}.stateOrRegion: {text}"[:250])
    return _STATES.get(plain, "")


def _country(given: Reader) -> str:
    code = given.text("countryCode", "BR").upper()
    if len(code) == 2:
        return code
    given.unknown.append(f"{given.path}.countryCode: {code}"[:250])
    return ""
