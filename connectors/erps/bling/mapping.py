"""A Bling order with its NF-e and parcels -> what the hub knows of the sale. Pure.

Reads the bundle of `adapter.Bling.fetch`. Settings that matter here:

* `situations` {Bling situation id: word of `MEANINGS`}; an account's own situations mean nothing until they are named
* `dispatch_on`: "object" (default) a parcel has left when Bling's shipping object says so; "code" as soon as it has a
  tracking code, for sellers who ship outside Bling's logistics
* `tracking_zone`: the zone of `rastreamento.ultimaAlteracao`; Brasília unless set (seen three hours off once)
* `test_invoices`: true takes NF-e of the tax authority's test environment for real ones
"""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from connectors.contract import SaleState
from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import DispatchDocument, InvoiceDocument

ZONE = "America/Sao_Paulo"
CANCELLED = "12"
# The situations every account has. "Atendido" does not prove that anything was shipped: many set it on invoicing.
SITUATIONS: Mapping[str, str] = {
    "6": "open",
    "9": "fulfilled",
    CANCELLED: "cancelled",
    "15": "open",
    "18": "open",
    "21": "open",
    "24": "open",
}
MEANINGS = frozenset({"open", "fulfilled", "dispatched", "cancelled"})
_AUTHORISED = frozenset({5, 6})
_NOTE_CANCELLED = 2
_NOTE_TROUBLE = {
    4: "The tax authority rejected the NF-e {number}: see the reason in Bling, correct it and send it again.",
    9: "The tax authority denied the NF-e {number}: its number is used up, a new one has to be issued.",
    11: "Bling blocked the NF-e {number} after it was sent too often: release it in Bling.",
}
_SALE = 1
_KEY = re.compile(r"[0-9]{6}[0-9A-Z]{12}[0-9]{26}")
_POSTED, _DELIVERED, _UNDELIVERED = 0, 3, 2
_ON_THE_WAY = frozenset({_POSTED, 1, _UNDELIVERED, _DELIVERED, 4, 7, 9})
_WAITING = frozenset({5, 6, 8})
_HUB_KEY = re.compile(r"\S+:\d+:\S+")
_TEST_ENVIRONMENT = re.compile(rb"<tpAmb>\s*2\s*</tpAmb>")
_LARGEST_XML = 2 * 1024 * 1024
_TRUE = (True, "true", "1", "yes")


def hub_key_in(notes: str) -> str:
    """The hub's key in an order's internal notes; people may have written around it."""
    found = _HUB_KEY.search(notes)
    return found.group() if found else ""


def meaning_of(situation: str, settings: Mapping[str, Any], base: str = "") -> str:
    """A word of `MEANINGS`; empty for a situation nobody has named. `base` is the one that it derives from."""
    chosen = settings.get("situations")
    word = chosen.get(situation) if isinstance(chosen, Mapping) else None
    if isinstance(word, str) and word in MEANINGS:
        return word
    return SITUATIONS.get(situation) or SITUATIONS.get(base, "")


def is_usable(invoice: Reader) -> bool:
    """Authorised, a sale, and with its key: the only kind a marketplace takes."""
    return (
        invoice.integer("situacao", 0) in _AUTHORISED
        and invoice.integer("tipo", 1) == 1
        and invoice.integer("finalidade", _SALE) == _SALE
        and bool(_KEY.fullmatch(invoice.text("chaveAcesso", "")))
    )


def sale_state(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> SaleState:
    """Raises `Refusal` with the JSON path of what cannot be read, and nothing else."""
    bundle = Reader(raw)
    if bundle.raw.get("order", bundle) is None:
        return _without_order(bundle)
    try:
        return _sale(bundle, settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"{error.title}.{where}: {first['msg']}", path="$") from error


def _without_order(bundle: Reader) -> SaleState:
    """A known order that is gone was deleted, which ends it; an invoice without an order is none of ours."""
    external_id = bundle.text("id")
    if not external_id.isdigit():
        return SaleState(external_id=external_id, raw_status="no order")
    return SaleState(external_id=external_id, raw_status="deleted", cancelled=True, complete=True)


def _sale(bundle: Reader, settings: Mapping[str, Any]) -> SaleState:
    order, note = bundle.object("order"), bundle.maybe("invoice")
    situation = order.text("situacao.id", "")
    meaning = meaning_of(situation, settings, bundle.text("base_situation", ""))
    if situation and not meaning:
        order.unknown.append(f"{order.path}.situacao.id: {situation}"[:250])
    xml = _xml(bundle)
    invoices = _invoices(note, xml, settings) + _cancelled(bundle.maybe("former_invoice"))
    dispatches, parcels_open, trouble = _parcels(bundle, order, meaning, settings)
    cancelled = meaning == "cancelled"
    invoiced = any(not invoice.cancelled for invoice in invoices)
    attention = [*_note_trouble(note, xml, settings), *trouble]
    return SaleState(
        external_id=order.text("id"),
        reference=order.text("numeroLoja", ""),
        hub_key=hub_key_in(order.text("observacoesInternas", "")),
        number=order.text("numero", ""),
        raw_status=situation,
        cancelled=cancelled,
        total=order.number("total") if order.has("total") else None,
        invoices=invoices,
        dispatches=dispatches,
        unknown=tuple(bundle.unknown),
        attention=" ".join(attention),
        complete=cancelled or (invoiced and bool(dispatches) and not parcels_open),
    )


def _invoices(note: Reader, xml: bytes, settings: Mapping[str, Any]) -> tuple[InvoiceDocument, ...]:
    if is_usable(note) and not _is_test(xml, settings):
        return (_invoice(note, xml),)
    return _cancelled(note)


def _cancelled(note: Reader) -> tuple[InvoiceDocument, ...]:
    gone = note.integer("situacao", 0) == _NOTE_CANCELLED and _KEY.fullmatch(note.text("chaveAcesso", ""))
    return (_invoice(note, b"", cancelled=True),) if gone else ()


def _invoice(note: Reader, xml: bytes, *, cancelled: bool = False) -> InvoiceDocument:
    return InvoiceDocument(
        key=note.text("chaveAcesso"),
        number=note.text("numero", "").lstrip("0"),
        series=note.text("serie", ""),
        issued_at=note.moment("dataEmissao", None, zone=ZONE),
        amount=note.number("valorNota") if note.has("valorNota") else None,
        cancelled=cancelled,
        xml=xml,
        external_id=note.text("id", ""),
    )


def _is_test(xml: bytes, settings: Mapping[str, Any]) -> bool:
    """A test environment's NF-e has a key like any other; only its file tells."""
    return bool(_TEST_ENVIRONMENT.search(xml)) and settings.get("test_invoices") not in _TRUE


def _note_trouble(note: Reader, xml: bytes, settings: Mapping[str, Any]) -> list[str]:
    number = note.text("numero", "")
    state = note.integer("situacao", 0)
    if state in _NOTE_TROUBLE:
        return [_NOTE_TROUBLE[state].format(number=number)]
    if state in _AUTHORISED and not _KEY.fullmatch(note.text("chaveAcesso", "")):
        return [f"The NF-e {number} is authorised, but Bling gives no valid access key for it."]
    if state in _AUTHORISED and _is_test(xml, settings):
        return [f"The NF-e {number} was issued in the test environment and is worth nothing."]
    return []


def _xml(bundle: Reader) -> bytes:
    """The NF-e's file exactly as issued; empty where there is none."""
    inline = bundle.maybe("invoice").text("xml", "")
    if inline.startswith("<"):
        return inline.encode("utf-8", "replace")
    try:
        content = base64.b64decode(bundle.text("invoice_xml", ""), validate=True)
    except (binascii.Error, ValueError):
        raise bundle.refuse("invoice_xml", "is not base64") from None
    return _unpacked(bundle, content) if content[:2] == b"\x1f\x8b" else content


def _unpacked(bundle: Reader, content: bytes) -> bytes:
    try:
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
        found = unpack.decompress(content, _LARGEST_XML + 1)
    except zlib.error:
        raise bundle.refuse("invoice_xml", "is not a gzip file") from None
    if len(found) > _LARGEST_XML or not unpack.eof:
        raise bundle.refuse("invoice_xml", "is cut off or larger than any NF-e")
    return found


def _parcels(
    bundle: Reader, order: Reader, meaning: str, settings: Mapping[str, Any]
) -> tuple[tuple[DispatchDocument, ...], bool, list[str]]:
    """(those that left, whether others are still to leave, what a person should look at)."""
    shipped, waiting, trouble = [], False, []
    objects = {one.text("id", ""): one for one in bundle.list("objects")}
    for volume in order.list("transporte.volumes"):
        track = objects.get(volume.text("id", "")) or Reader({}, volume.path, order.unknown)
        code = volume.text("codigoRastreamento", "")
        left, said = _has_left(track, code, settings)
        trouble += said
        if left or meaning == "dispatched":
            shipped.append(_dispatch(bundle, order, volume, track, settings))
        else:
            waiting = True
    if meaning == "dispatched" and not shipped:
        empty = Reader({"id": order.text("id")}, order.path, order.unknown)
        shipped.append(_dispatch(bundle, order, empty, Reader({}, order.path), settings))
    return tuple(shipped), waiting, trouble


def _has_left(track: Reader, code: str, settings: Mapping[str, Any]) -> tuple[bool, list[str]]:
    if not code:
        return False, []
    if not track.has("rastreamento.situacao"):
        if settings.get("dispatch_on") == "code":
            return True, []
        return False, [f"Bling has the tracking code {code} but no shipping object that says whether it has left."]
    state = track.integer("rastreamento.situacao")
    if state not in _ON_THE_WAY and state not in _WAITING:
        track.unknown.append(f"{track.path}.rastreamento.situacao: {state}"[:250])
    trouble = [f"The parcel {code} could not be delivered."] if state == _UNDELIVERED else []
    return state in _ON_THE_WAY or settings.get("dispatch_on") == "code", trouble


def _dispatch(
    bundle: Reader, order: Reader, volume: Reader, track: Reader, settings: Mapping[str, Any]
) -> DispatchDocument:
    code = volume.text("codigoRastreamento", "")
    changed = track.moment("rastreamento.ultimaAlteracao", None, zone=_zone(settings))
    state = track.integer("rastreamento.situacao", -1)
    carrier = order.text("transporte.contato.nome", "")
    return DispatchDocument(
        external_id=next((name for name in (volume.text("id", ""), code) if name not in ("", "0")), order.text("id")),
        carrier=carrier or bundle.maybe("invoice").text("transporte.transportador.nome", ""),
        service=volume.text("servico", ""),
        tracking_code=code,
        tracking_url=track.text("rastreamento.url", ""),
        shipped_at=_shipped_at(order, track, changed if state == _POSTED else None),
        delivered_at=changed if state == _DELIVERED else None,
    )


def _shipped_at(order: Reader, track: Reader, posted: datetime | None) -> datetime:
    """When it was posted where that is known; else the day Bling says it left."""
    found = posted or track.day("dataSaida", zone=ZONE) or order.day("dataSaida", zone=ZONE)
    found = found or order.day("data", zone=ZONE)
    if found is None:
        raise order.refuse("dataSaida", "is missing, and the parcel has left")
    return found


def _zone(settings: Mapping[str, Any]) -> str:
    name = str(settings.get("tracking_zone") or ZONE)
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError):
        raise Refusal(f"is no time zone: {name!r:.40}", path="$.settings.tracking_zone") from None
