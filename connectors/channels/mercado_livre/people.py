"""People and their addresses. What Mercado Livre still hides is never passed on."""

import re

from connectors.channels.mercado_livre import words
from connectors.channels.mercado_livre.sale import Sale
from connectors.reading import Reader, digits, document_number
from orders.documents import Address, Buyer

_MASKED = re.compile(r"X{5,}")


def _billing(sale: Sale) -> Reader:
    return sale.raw.maybe("billing").maybe("buyer").maybe("billing_info")


def buyer(sale: Sale) -> Buyer:
    billing = _billing(sale)
    name = " ".join(filter(None, (billing.text("name", ""), billing.text("last_name", ""))))
    number = billing.text("identification.number", "")
    # An RG is no fiscal document.
    fiscal = billing.text("identification.type", "CPF").upper() in ("CPF", "CNPJ")
    phones = (one.maybe("shipment").text("destination.receiver_phone", "") for one in sale.shipments)
    return Buyer(
        name=name[:255],
        document=document_number(number)[:120] if fiscal and not _hidden(number) else "",
        state_registration=billing.text("taxes.inscriptions.state_registration", "")[:120],
        phone=next((digits(phone)[:120] for phone in phones if phone and not _hidden(phone)), ""),
    )


def _hidden(text: str) -> bool:
    return bool(_MASKED.search(text.upper()))


def ship_to(sale: Sale) -> tuple[Address | None, bool]:
    """(address, whether Mercado Livre still hides it). A hidden one is never passed on."""
    for one in reversed(sale.shipments):
        destination = one.maybe("shipment").maybe("destination")
        where = destination.maybe("shipping_address")
        if not where.raw:
            continue
        texts = [destination.raw.get("receiver_name"), *(where.raw.get(name) for name in _MASKABLE)]
        if any(isinstance(text, str) and _hidden(text) for text in texts):
            return None, True
        return _address(destination, where), False
    return None, False


_MASKABLE = ("address_line", "street_name", "street_number", "zip_code", "comment")


def _address(destination: Reader, where: Reader) -> Address:
    phone = destination.text("receiver_phone", "")
    return Address(
        recipient=destination.text("receiver_name", "")[:255],
        street=(where.text("street_name", "") or where.text("address_line", ""))[:255],
        number=where.text("street_number", "")[:120],
        complement=where.text("comment", "")[:255],
        district=(where.text("neighborhood.name", "") or where.text("municipality.name", ""))[:255],
        city=where.text("city.name", "")[:255],
        state=_state_code(where.text("state.id", "").rpartition("-")[2], where.text("state.name", "")),
        postal_code=digits(where.text("zip_code", ""))[:10],
        country=_country(where.text("country.id", "")),
        phone=digits(phone)[:120],
        notes=destination.text("comments", "")[:255],
    )


def bill_to(sale: Sale) -> Address | None:
    billing = _billing(sale)
    where = billing.maybe("address")
    if not where.raw or any(isinstance(text, str) and _hidden(text) for text in where.raw.values()):
        return None
    number = where.text("street_number", "")
    return Address(
        recipient=buyer(sale).name,
        street=where.text("street_name", "")[:255],
        number="S/N" if number.upper() == "SN" else number[:120],
        complement=where.text("comment", "")[:255],
        district=where.text("neighborhood", "")[:255],
        city=where.text("city_name", "")[:255],
        state=_state_code(where.text("state.code", ""), where.text("state.name", "")),
        postal_code=digits(where.text("zip_code", ""))[:10],
        country=_country(where.text("country_id", "")),
    )


def _state_code(code: str, name: str) -> str:
    code = code.rpartition("-")[2].upper()
    return code if code in words.STATES.values() else words.STATES.get(name.strip().lower(), "")


def _country(code: str) -> str:
    return code.upper() if len(code) == 2 else "BR"
