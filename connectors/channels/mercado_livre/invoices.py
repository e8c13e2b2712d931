"""An NF-e reaches Mercado Livre in one of two ways: imported, which releases the label, or attached for the buyer."""

import re
from datetime import UTC, datetime, timedelta

from connectors.contract import Outcome, Receipt
from connectors.failures import Failure, NotYet, Refusal
from connectors.http import Client
from connectors.reading import Reader
from orders.documents import InvoiceDocument

# Other logistic types take the NF-e attached to the pack.
IMPORTED = frozenset({"drop_off", "xd_drop_off", "cross_docking", "xd_same_day"})
# Before these the shipment takes no invoice yet; after them it takes none any more.
EARLIER = frozenset({"", "pending", "handling"})
PAUSE = timedelta(minutes=5)
LARGEST_FILE = 1024 * 1024
GOODS_MODEL = "55"
_TEST = re.compile(rb"<tpAmb>\s*2\s*</tpAmb>")


def send(http: Client, shipment_id: str, state: Reader, invoice: InvoiceDocument) -> Receipt:
    """Imports it once. Asked again after an uncertain failure, it finds what the first call left behind."""
    status, substatus = state.text("status", ""), state.text("substatus", "")
    if status in EARLIER or (status == "ready_to_ship" and not substatus):
        raise NotYet(
            f"Mercado Livre does not take the invoice yet: the shipment is {status or 'not there'}/{substatus}.",
            retry_at=datetime.now(UTC) + PAUSE,
        )
    if (status, substatus) != ("ready_to_ship", "invoice_pending"):
        return _compare(http, shipment_id, invoice, f"{status}/{substatus}")
    check(invoice)
    try:
        http.post(
            f"/shipments/{shipment_id}/invoice_data/",
            operation="invoice",
            params={"siteId": "MLB"},
            data=invoice.xml,
            headers={"Content-Type": "application/xml"},
        )
    except Failure as failure:
        if failure.code not in ("shipment_invoice_already_saved", "invalid_shipment"):
            raise
        return _compare(http, shipment_id, invoice, failure.message)
    return Receipt(Outcome.ACCEPTED, external_id=shipment_id)


def _compare(http: Client, shipment_id: str, invoice: InvoiceDocument, why: str) -> Receipt:
    answer = http.get(
        f"/shipments/{shipment_id}/invoice_data", operation="invoice_read", params={"siteId": "MLB"}, accept=(404,)
    )
    key = answer.reader().text("fiscal_key", "") if answer.status < 300 else ""
    if key == invoice.key:
        return Receipt(Outcome.ALREADY, external_id=shipment_id)
    if key:
        raise Refusal(
            f"Mercado Livre holds another invoice for this shipment: {key}.", code="shipment_invoice_already_saved"
        )
    raise Refusal(
        f"The shipment takes no invoice any more ({why}), and Mercado Livre has none.", code="invalid_shipment"
    )


def check(invoice: InvoiceDocument) -> None:
    """What Mercado Livre would refuse anyway."""
    if not invoice.xml:
        raise Refusal("The NF-e's XML is missing: Mercado Livre takes nothing else.", path="$.xml")
    if invoice.key[20:22] != GOODS_MODEL:
        raise Refusal(f"Mercado Livre takes NF-e of model 55 only; this is model {invoice.key[20:22]}.", path="$.key")
    if b"nfeProc" not in invoice.xml[:2000]:
        raise Refusal("The XML is no nfeProc: SEFAZ's authorisation is missing in it.", path="$.xml")
    if _TEST.search(invoice.xml):
        raise Refusal("This NF-e was issued for testing (tpAmb 2); Mercado Livre refuses it.", path="$.xml")
    _check_size(invoice)


def _check_size(invoice: InvoiceDocument) -> None:
    if len(invoice.xml) > LARGEST_FILE:
        raise Refusal("The NF-e's XML is larger than the 1 MB that Mercado Livre takes.", path="$.xml")


def attach(http: Client, pack_id: str, invoice: InvoiceDocument) -> Receipt:
    """The file's name carries the key, so that a refused second time can be told from another invoice."""
    if not invoice.xml:
        raise Refusal("The NF-e's XML is missing: Mercado Livre takes nothing else.", path="$.xml")
    _check_size(invoice)
    answer = http.post(
        f"/packs/{pack_id}/fiscal_documents",
        operation="invoice",
        files={"fiscal_document": (f"{invoice.key}.xml", invoice.xml, "application/xml")},
        accept=(409,),
    )
    if answer.status < 300:
        return Receipt(Outcome.ACCEPTED, external_id=next(iter(answer.reader().words("ids")), ""))
    listed = http.get(f"/packs/{pack_id}/fiscal_documents", operation="invoice_read").reader()
    names = [one.text("filename", "") for one in listed.list("fiscal_documents")]
    if any(invoice.key in name for name in names):
        return Receipt(Outcome.ALREADY)
    raise Refusal(f"Mercado Livre holds another file for this sale: {', '.join(names)}."[:400], code="409")
