"""What an NF-e must be to belong to an order: the access key's own proof, and whose it is. No database.

Rules: MOC 7.0 and Nota Técnica Conjunta 2025.001 (letters in the CNPJ, and so in positions 7 to 18 of the key).
"""

import gzip
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException, ElementTree
from django.utils.translation import gettext as _

from hub import vault
from orders.documents import InvoiceDocument

KEY = re.compile(r"[0-9]{6}[0-9A-Z]{12}[0-9]{26}")
MODEL = "55"
# What SEFAZ answers to an NF-e that it authorises, in time or late.
AUTHORISED = ("100", "150")
FOR_TESTING = "2"


class InvoiceRefused(ValueError):
    """The NF-e cannot belong to this order; the text says why, for a person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def key_digit(first: str) -> int:
    """Modulo 11 over the key's first 43 characters, weights 2 to 9 from the right, a letter counts as ASCII - 48."""
    total = sum((ord(char) - 48) * (2 + place % 8) for place, char in enumerate(reversed(first)))
    rest = total % 11
    return 0 if rest < 2 else 11 - rest


def clean(number: str) -> str:
    """A CNPJ without its mask."""
    return re.sub(r"[^0-9A-Z]", "", number.upper())


def check(document: InvoiceDocument, tax_ids: Iterable[str]) -> None:
    """Raises `InvoiceRefused`. `tax_ids` are the CNPJs the seller issues with; empty: any issuer will do."""
    key = document.key
    issuers = {clean(number) for number in tax_ids}
    if not KEY.fullmatch(key):
        raise InvoiceRefused(_("The access key does not have the form of an NF-e's key."))
    if key_digit(key[:43]) != int(key[43]):
        raise InvoiceRefused(_("The access key's check digit is wrong."))
    if key[20:22] != MODEL:
        raise InvoiceRefused(_("The document is of model %(model)s, not an NF-e (55).") % {"model": key[20:22]})
    if issuers and key[6:20] not in issuers:
        raise InvoiceRefused(_("The NF-e was issued by %(issuer)s, which is not the seller.") % {"issuer": key[6:20]})
    if document.xml and key.encode() not in document.xml:
        raise InvoiceRefused(_("The XML is of another NF-e: it does not hold the access key."))


def of_key(key: str) -> InvoiceDocument:
    """All that the access key itself says. Raises `InvoiceRefused`."""
    if not KEY.fullmatch(key):
        raise InvoiceRefused(_("The access key does not have the form of an NF-e's key."))
    return InvoiceDocument(key=key, number=str(int(key[25:34])), series=str(int(key[22:25])))


def read(xml: bytes) -> InvoiceDocument:
    """The NF-e that a file holds: authorised, and not for testing. Raises `InvoiceRefused`."""
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        raise InvoiceRefused(_("This file is no XML.")) from None
    body = root.find(".//{*}infNFe")
    if body is None:
        raise InvoiceRefused(_("This file holds no NF-e."))
    if not root.tag.endswith("nfeProc") or _text(root, "infProt/{*}cStat") not in AUTHORISED:
        raise InvoiceRefused(_("SEFAZ's authorisation is missing in this file: take the one with the protocol."))
    if _text(root, "ide/{*}tpAmb") == FOR_TESTING:
        raise InvoiceRefused(_("This NF-e was issued for testing and is worth nothing."))
    known = of_key(body.get("Id", "").removeprefix("NFe"))
    details = {"issued_at": _moment(_text(root, "ide/{*}dhEmi")), "amount": _amount(_text(root, "ICMSTot/{*}vNF"))}
    return known.model_copy(update={**details, "xml": xml})


def _text(root: Element, path: str) -> str:
    return (root.findtext(f".//{{*}}{path}") or "").strip()


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < 10**10 else None


def seal(xml: bytes) -> str:
    """Compressed and encrypted: it names the buyer. Empty stays empty."""
    return vault.seal_bytes(gzip.compress(xml, mtime=0)) if xml else ""


def unseal(sealed: str) -> bytes:
    """The file byte for byte as it came."""
    return gzip.decompress(vault.unseal_bytes(sealed)) if sealed else b""
