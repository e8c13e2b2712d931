"""What Tryton says of a sale, as the hub understands it. Pure: the JSON of `Tryton.fetch` in, `SaleState` out.

Standard Tryton knows no NF-e. The convention (fact sheet, section 6): the access key stands in the invoice's
`reference`, the XML is an attachment of the invoice. Whether something was shipped is read from the shipments
themselves: a sale may say `sent` although its shipment was cancelled.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError
from zoneinfo import ZoneInfo

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import ValidationError

from connectors.contract import ErpOrder, SaleState
from connectors.erps.tryton.payloads import hub_key
from connectors.failures import Refusal
from connectors.reading import Reader, document_number
from orders.documents import DispatchDocument, Document, InvoiceDocument, latest

DocumentT = TypeVar("DocumentT", bound=Document)

ISSUED = ("posted", "paid")
# 8.0 puts `shipped` before `done`.
GONE = ("done", "shipped")
_SALE_STATES = ("draft", "quotation", "confirmed", "processing", "done", "cancelled")
_INVOICE_STATES = ("draft", "validated", "posted", "paid", "cancelled")
_SHIPMENT_STATES = ("draft", "waiting", "assigned", "picked", "packed", "shipped", "done", "cancelled")
# Letters only in the issuer's CNPJ (NF-e fact sheet, section 2).
_KEY = re.compile(r"[0-9]{6}[0-9A-Z]{12}[0-9]{26}")
_NAMESPACE = "{http://www.portalfiscal.inf.br/nfe}"
_LARGEST_XML = 2 * 1024 * 1024
_LONGEST_ATTENTION = 500


def sale_state(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> SaleState:
    """`raw` has `sale` (with its `invoices` and `shipments`) and `attachments`, as `Tryton.fetch` writes it."""
    document = Reader(raw)
    sale = document.object("sale")
    notes: list[str] = []
    invoices = tuple(_invoices(document, settings, notes))
    dispatches = tuple(_dispatches(sale, settings))
    order = erp_order(sale)
    notes.extend(_troubles(sale, order.cancelled))
    issued = [invoice for invoice in invoices if not invoice.cancelled]
    return SaleState(
        external_id=order.external_id,
        reference=order.reference,
        hub_key=order.hub_key,
        number=order.number,
        raw_status=order.raw_status,
        cancelled=order.cancelled,
        total=order.total,
        invoices=invoices,
        dispatches=dispatches,
        unknown=tuple(sale.unknown),
        attention="; ".join(notes)[:_LONGEST_ATTENTION],
        complete=order.cancelled or bool(issued and dispatches and _all_gone(sale)),
        updated_at=_newest(sale),
    )


def erp_order(sale: Reader) -> ErpOrder:
    """A row of `sale.sale` with `invoices` and `shipments`."""
    return ErpOrder(
        external_id=sale.text("id"),
        number=sale.text("number", ""),
        reference=sale.text("reference", ""),
        hub_key=hub_key(sale.text("comment", "")),
        cancelled=_is_cancelled(sale),
        total=sale.number("total_amount", None),  # type: ignore[arg-type]
        raw_status=_raw_status(sale),
    )


def _raw_status(sale: Reader) -> str:
    state = _state(sale, _SALE_STATES)
    rest = [f"{part} {said}" for part in ("invoice", "shipment") if (said := sale.text(f"{part}_state", "none"))]
    return ", ".join([state, *(part for part in rest if not part.endswith(" none"))])[:120]


def _state(record: Reader, known: tuple[str, ...]) -> str:
    return record.word("state", {word: word for word in known}, record.text("state", ""))


def _is_cancelled(sale: Reader) -> bool:
    """Also a processing sale that was unwound: nothing of it is left, and both exceptions were dealt with."""
    if sale.text("state", "") == "cancelled":
        return True
    states = [part.text("state", "") for key in ("invoices", "shipments") for part in sale.list(key)]
    open_question = "exception" in (sale.text("invoice_state", ""), sale.text("shipment_state", ""))
    return bool(states) and not open_question and all(state == "cancelled" for state in states)


def _all_gone(sale: Reader) -> bool:
    states = [shipment.text("state", "") for shipment in sale.list("shipments")]
    return all(state in GONE for state in states if state != "cancelled")


def _troubles(sale: Reader, cancelled: bool) -> Iterator[str]:
    if not cancelled:
        for key in ("invoice_state", "shipment_state"):
            if sale.text(key, "") == "exception":
                yield f"Tryton waits for a decision: {key} is exception"
    if sale.has("shipment_returns"):
        yield "Goods of this sale were returned"


def _newest(sale: Reader) -> datetime | None:
    records = [sale, *sale.list("invoices"), *sale.list("shipments")]
    return latest(*(record.moment(key, None) for record in records for key in ("create_date", "write_date")))


def _invoices(document: Reader, settings: Mapping[str, Any], notes: list[str]) -> Iterator[InvoiceDocument]:
    files = _files(document)
    for invoice in document.object("sale").list("invoices"):
        state = _state(invoice, _INVOICE_STATES)
        amount = invoice.number("total_amount", Decimal(0))
        # A credit note is no invoice of what was sold.
        if state not in (*ISSUED, "cancelled") or amount < 0:
            continue
        nfe = _nfe(invoice, files.get(invoice.text("id"), []), notes)
        if nfe is None:
            if state in ISSUED:
                notes.append(f"Invoice {invoice.text('number', invoice.text('id'))} has no valid NF-e key")
            continue
        yield _invoice(invoice, nfe, settings, cancelled=state == "cancelled")


def _invoice(invoice: Reader, nfe: "Nfe", settings: Mapping[str, Any], *, cancelled: bool) -> InvoiceDocument:
    return _built(
        InvoiceDocument,
        invoice.path,
        key=nfe.key,
        number=nfe.key[25:34].lstrip("0"),
        series=nfe.key[22:25].lstrip("0") or "0",
        issued_at=nfe.issued_at or invoice.day("invoice_date", zone=_zone(settings)),
        amount=invoice.number("total_amount", None),  # type: ignore[arg-type]
        cancelled=cancelled,
        xml=nfe.xml,
    )


@dataclass(frozen=True)
class Nfe:
    """`xml` is the file untouched, or empty; `issued_at` what it says itself, with its offset."""

    key: str
    xml: bytes = b""
    issued_at: datetime | None = None


def _nfe(invoice: Reader, files: list[bytes], notes: list[str]) -> Nfe | None:
    """The key from `reference`, the XML that belongs to it; where a person typed no key, the one of the XML."""
    typed = document_number(invoice.text("reference", ""))
    found = [nfe for content in files if (nfe := read_nfe(content)) is not None]
    if not is_key(typed):
        return found[-1] if found else None
    fitting = [nfe for nfe in found if nfe.key == typed]
    if found and not fitting:
        notes.append(f"The XML attached to invoice {invoice.text('id')} is that of another NF-e")
    return fitting[-1] if fitting else Nfe(typed)


def is_key(text: str) -> bool:
    """44 characters of the official pattern with the right check digit."""
    if not _KEY.fullmatch(text):
        return False
    total = sum((ord(char) - 48) * (2 + place % 8) for place, char in enumerate(reversed(text[:43])))
    return int(text[43]) == (0 if total % 11 < 2 else 11 - total % 11)


def read_nfe(content: bytes) -> Nfe | None:
    """The facts of an authorised NF-e file (`nfeProc`); None for any other file."""
    if len(content) > _LARGEST_XML:
        return None
    try:
        root: Element = fromstring(content.lstrip(b"\xef\xbb\xbf \r\n\t"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    key = root.findtext(f".//{_NAMESPACE}infProt/{_NAMESPACE}chNFe", "").strip()
    if root.tag != f"{_NAMESPACE}nfeProc" or not is_key(key):
        return None
    return Nfe(key, content, _offset_time(root.findtext(f".//{_NAMESPACE}ide/{_NAMESPACE}dhEmi", "")))


def _offset_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _files(document: Reader) -> dict[str, list[bytes]]:
    """Invoice id -> what is attached to it, oldest first."""
    files: dict[str, list[bytes]] = {}
    for attachment in document.list("attachments"):
        owner = attachment.text("resource", "").removeprefix("account.invoice,")
        try:
            content = base64.b64decode(attachment.text("data", ""), validate=True)
        except (binascii.Error, ValueError):
            raise attachment.refuse("data", "is not base64") from None
        files.setdefault(owner, []).append(content)
    return files


def _dispatches(sale: Reader, settings: Mapping[str, Any]) -> Iterator[DispatchDocument]:
    for shipment in sale.list("shipments"):
        if _state(shipment, _SHIPMENT_STATES) in GONE:
            yield _dispatch(sale, shipment, settings)


def _dispatch(sale: Reader, shipment: Reader, settings: Mapping[str, Any]) -> DispatchDocument:
    code = _tracking_code(shipment)
    template = str(settings.get("tracking_url") or "")
    return _built(
        DispatchDocument,
        shipment.path,
        external_id=shipment.text("id"),
        carrier=shipment.maybe("carrier").maybe("party").text("name", "")[:120],
        tracking_code=code,
        tracking_url=template.replace("{code}", code) if code else "",
        shipped_at=_shipped_at(sale, shipment, settings),
    )


def _tracking_code(shipment: Reader) -> str:
    """The shipment's own, or those of its packages."""
    codes = [shipment.text("shipping_reference", "")]
    codes += [package.text("shipping_reference", "") for package in shipment.list("packages")]
    return next((code for code in codes if code), "")


def _shipped_at(sale: Reader, shipment: Reader, settings: Mapping[str, Any]) -> datetime:
    """Tryton knows the day only: its start in the company's zone, but not before the sale came in."""
    day = shipment.day("effective_date", zone=_zone(settings))
    if day is None:
        return shipment.when("write_date")
    created = sale.moment("create_date", None)
    return max(day, created) if created else day


def _zone(settings: Mapping[str, Any]) -> str:
    name = str(settings.get("timezone") or "America/Sao_Paulo")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refusal(f"{name!r:.60} is no time zone", path="$.settings.timezone") from None
    return name


def _built(kind: type[DocumentT], path: str, **values: Any) -> DocumentT:
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(first["msg"], path=f"{path}.{where}") from error
