"""Bling API v3 as an `Erp`. Endpoints, pages and error handling; what bodies mean is in `mapping` and `payloads`.

Settings of an account, all optional:

* `payment_form` id of the form of payment of every instalment; else the account's default one is looked up
* `stores` {hub channel id: Bling "loja" id}: tells apart two channels that use the same order number
* `situations` {Bling situation id: word of `mapping.MEANINGS`} for an account's own situations
* `situation` id a new order starts in; `due_days` of its instalment; `freight_by` Bling's `fretePorConta` (0: sender)
* `intermediaries` {hub channel id: {"cnpj": …, "user": …}} for the fiscal duty on marketplace sales
* `update_contacts` false: leave contacts that exist as they are (then an NF-e may show an old address)
* `overlap_minutes`, `invoice_overlap_minutes`: how far each poll looks back behind the last one
* `dispatch_on`, `tracking_zone`, `test_invoices`: see `mapping`

Not known of Bling, and therefore never relied on: how soon a new order is found by a search; the order of lists;
whether an NF-e moves its order's alteration date (so open orders are re-read, `SERVICE.watch_seconds`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.contract import (
    Account,
    Announcement,
    CensusPage,
    Change,
    Credentials,
    Cursor,
    ErpOrder,
    Outcome,
    Page,
    PushRequest,
    Receipt,
    Reference,
    Window,
)
from connectors.erps.bling import auth, census, listing, payloads, pushes
from connectors.erps.bling.calls import FORBIDDEN, NOT_FOUND, PAGE_SIZE, Calls, explain, id_of_write
from connectors.erps.bling.catalogue import Catalogue
from connectors.erps.bling.contacts import Contacts
from connectors.erps.bling.mapping import CANCELLED, hub_key_in, is_usable, meaning_of
from connectors.erps.bling.memory import Memory
from connectors.failures import Category, Failure
from connectors.http import Client
from connectors.reading import Reader, parse_json
from orders.documents import OrderDocument

# Own situation -> the base one it derives from; and NF-e -> its order, which spares the search for it. Both are keyed
# by account and host.
_situations = Memory(seconds=3_600, size=20_000)
_orders_of_notes = Memory(seconds=86_400, size=50_000)
# An authorised NF-e never changes; open orders are read again and again.
_documents = Memory(seconds=3_600, size=500)


# Where an NF-e was issued its order has usually changed, too, and is read with it: one reading for both.
PATIENCE = 2.0


class Bling:
    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.settings = account.settings
        self.http = http
        self.http.auth = auth.bearer
        self.http.explain = explain
        self._mine = (account.id, account.hosts.get("api", ""))
        self.calls = Calls(http)
        self.contacts = Contacts(self.calls, self.settings)
        self.catalogue = Catalogue(self.calls, self.settings, self._mine)

    # Signing in

    def consent_url(self, state: str) -> str:
        return auth.consent_url(self.account, state)

    def exchange(self, code: str, query: Mapping[str, str]) -> Credentials:
        return auth.exchange(self.http, code, query)

    def refresh(self) -> Credentials:
        return auth.refresh(self.http)

    def check(self) -> str:
        company = self.calls.get("/empresas/me/dados-basicos", operation="check").object("data")
        return company.text("nome", company.text("id", ""))

    # Orders

    def find(self, reference: Reference) -> Sequence[ErpOrder]:
        """Orders with exactly this number, and of this channel: by `loja.id` where the settings say which one it is,
        else by the hub's key in the internal notes. One call, plus one per candidate that has to be opened.
        """
        return [found for row in self._numbered(reference.number) if (found := self._ours(row, reference))]

    def _numbered(self, number: str) -> list[Reader]:
        query = [("numerosLojas[]", number), ("pagina", "1"), ("limite", str(PAGE_SIZE))]
        rows = list(self.calls.get("/pedidos/vendas", operation="find", params=query).list("data"))
        exact = [row for row in rows if row.text("numeroLoja", "") == number]
        # Bling ignores a filter it does not know and answers with everybody's first page: that proves nothing.
        if not exact and len(rows) >= PAGE_SIZE:
            raise Failure(
                Category.BUG, "Bling did not search by the order number, which proves nothing.", code="no_search"
            )
        return exact

    def _ours(self, row: Reader, reference: Reference) -> ErpOrder | None:
        store = payloads.store_of(self.settings, reference.channel)
        if store and row.integer("loja.id", 0):
            if row.integer("loja.id", 0) != store:
                return None
            return self._erp_order(row, reference.hub_key)
        order = self._order(row.text("id"))
        if order is None or hub_key_in(order.text("observacoesInternas", "")) != reference.hub_key:
            return None
        return self._erp_order(order, reference.hub_key)

    def _erp_order(self, row: Reader, hub_key: str) -> ErpOrder:
        situation = row.text("situacao.id", "")
        return ErpOrder(
            external_id=row.text("id"),
            number=row.text("numero", ""),
            reference=row.text("numeroLoja", ""),
            hub_key=hub_key,
            cancelled=self._means(situation) == "cancelled",
            total=row.number("total") if row.has("total") else None,
            raw_status=situation,
        )

    def _means(self, situation: str) -> str:
        return meaning_of(situation, self.settings, self._base_of(situation))

    def _base_of(self, situation: str) -> str:
        """The situation that an account's own one derives from; empty where that is not needed or not known."""
        if not situation or meaning_of(situation, self.settings):
            return ""
        held = _situations.get((self._mine, situation))
        if held is None:
            path = f"/situacoes/{situation}"
            answer = self.calls.send("GET", path, operation="situation", accept=(FORBIDDEN, NOT_FOUND))
            known = answer.reader().maybe("data") if answer.status < FORBIDDEN else Reader({})
            held = known.text("idHerdado", "")
            _situations.put((self._mine, situation), held)
        return str(held)

    def _order(self, external_id: str) -> Reader | None:
        """The whole order; None when it was deleted in Bling."""
        answer = self.calls.send("GET", f"/pedidos/vendas/{external_id}", operation="order", accept=(NOT_FOUND,))
        return None if answer.status == NOT_FOUND else answer.reader().object("data")

    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        """Two calls for a returning buyer (three with `update_contacts`), three for a new one, once the products and
        the payment form are known.
        """
        money = payloads.amounts(order)
        products = self.catalogue.products_of(order)
        form = self.catalogue.payment_form()
        contact = self.contacts.of(order)
        body = payloads.sale(order, reference, self.settings, contact_id=contact, products=products, payment_form=form)
        try:
            made = self.calls.send("POST", "/pedidos/vendas", operation="create", json=body, effect=True).reader()
        except Failure as failure:
            if failure.category is Category.REJECTED:
                self.catalogue.forget(order)
            raise
        return ErpOrder(
            external_id=id_of_write(made), reference=reference.number, hub_key=reference.hub_key, total=money.total
        )

    def cancel(self, external_id: str) -> Receipt:
        order = self._order(external_id)
        if order is None:
            return Receipt(Outcome.ALREADY, "The order was deleted in Bling.", external_id)
        if self._means(order.text("situacao.id", "")) == "cancelled":
            return Receipt(Outcome.ALREADY, "The order was cancelled in Bling before.", external_id)
        self.calls.send("PATCH", f"/pedidos/vendas/{external_id}/situacoes/{CANCELLED}", operation="cancel")
        message = ""
        if order.integer("notaFiscal.id", 0):
            message = "Its NF-e has to be cancelled by hand in Bling: there is no call for that."
        return Receipt(Outcome.ACCEPTED, message, external_id)

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        return self.catalogue.items(skus)

    # Reading changes

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """One call: a page of orders by alteration, of invoices by issue, or of cancelled invoices, in turn.

        An invoice's row does not name its order, so its `external_id` is "nfe:<id>", which `fetch` resolves.
        """
        place = listing.resume(cursor, self.settings, window, datetime.now(UTC))
        stream = place.stream
        query = [*stream.query(place, self.settings), ("pagina", str(place.page)), ("limite", str(PAGE_SIZE))]
        rows = list(self.calls.get(stream.path, operation="changes", params=query).list("data"))
        changed_by = place.until if stream.certain else None
        found = [
            Change(
                f"{stream.prefix}{row.text('id')}",
                _encoded(row.raw),
                changed_by=changed_by,
                patience=PATIENCE if stream.prefix else 0.0,
            )
            for row in rows
            if stream.is_news(row)
        ]
        after = place.after(len(rows) >= PAGE_SIZE)
        return Page(found, after.cursor(), more=after.more)

    def invoice_in(self, hint: bytes) -> tuple[str, bool] | None:
        """From an invoice's row: only what is authorised or cancelled says all by its state."""
        row = parse_json(hint)
        if not isinstance(row, dict) or "situacao" not in row:
            return None
        reader = Reader(row)
        situation = reader.integer("situacao", 0) if not isinstance(row["situacao"], dict) else 0
        return (reader.text("id", ""), situation == listing.CANCELLED) if situation in listing.FINAL else None

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        page = int(cursor.get("page", 1))
        params = census.query(window, page, PAGE_SIZE)
        rows = list(self.calls.get("/pedidos/vendas", operation="census", params=params).list("data"))
        found = [census.listed(row, self._means) for row in rows]
        return CensusPage(found, {"page": page + 1}, more=len(rows) >= PAGE_SIZE)

    def fetch(self, external_id: str, hint: bytes = b"") -> bytes:
        """{"id", "order", "base_situation", "invoice", "former_invoice", "invoice_xml", "objects"}; `order` is null
        when Bling does not have it (any more); `former_invoice` is one that the order does not name any more.

        `invoice_xml` is the file as Bling gives it: base64 of gzip. Calls: the order, its NF-e and the NF-e's file
        once it is authorised, and one per parcel with a tracking code; an invoice's change costs a search more.
        """
        asked = None
        if external_id.startswith(listing.INVOICE):
            asked = self._invoice(external_id.removeprefix(listing.INVOICE))
            order = self._order_of(asked) if asked else None
        else:
            order = self._order(external_id)
        invoice = self._invoice_of(order, asked) if order else asked
        bundle = {
            "id": external_id,
            "order": order.raw if order else None,
            "base_situation": self._base_of(order.text("situacao.id", "")) if order else "",
            "invoice": invoice.raw if invoice else None,
            "former_invoice": asked.raw if asked is not None and asked is not invoice else None,
            "invoice_xml": self._file(invoice) if invoice and order else "",
            "objects": self._objects(order) if order else [],
        }
        return _encoded(bundle)

    def _invoice_of(self, order: Reader, asked: Reader | None) -> Reader | None:
        """The NF-e that the order names; the one asked for where it names none."""
        named = order.text("notaFiscal.id", "0")
        if named == "0":
            return asked
        _orders_of_notes.put((self._mine, named), order.text("id"))
        return asked if asked and asked.text("id") == named else self._invoice(named)

    def _invoice(self, invoice: str) -> Reader | None:
        answer = self.calls.send("GET", f"/nfe/{invoice}", operation="invoice", accept=(NOT_FOUND,))
        return None if answer.status == NOT_FOUND else answer.reader().object("data")

    def _order_of(self, invoice: Reader) -> Reader | None:
        """The order an NF-e belongs to: of those with its number, the one that names it. Whether an order still names
        an NF-e that was cancelled is not known: the only one of its shop will do.
        """
        note, number = invoice.text("id"), invoice.text("numeroPedidoLoja", "")
        if held := _orders_of_notes.get((self._mine, note)):
            return self._order(held)
        same_shop = []
        for row in self._numbered(number) if number else ():
            order = self._order(row.text("id"))
            if order is not None and order.text("notaFiscal.id", "") == note:
                return order
            if order is not None and order.integer("loja.id", 0) == invoice.integer("loja.id", 0):
                same_shop.append(order)
        return same_shop[0] if len(same_shop) == 1 else None

    def _file(self, invoice: Reader) -> str:
        """The NF-e's file as Bling holds it, base64; empty where it may not be used or has none."""
        if not is_usable(invoice):
            return ""
        key = invoice.text("chaveAcesso")
        held = _documents.get((self._mine, key))
        if held is None:
            # Packed as it is, no redaction could find the buyer in it.
            answer = self.calls.send(
                "GET",
                f"/nfe/documento/{key}",
                operation="invoice_xml",
                params={"formato": "xml"},
                accept=(NOT_FOUND,),
                unrecorded=True,
            )
            if answer.status == NOT_FOUND:
                return ""
            held = next((text for file in answer.reader().list("data") if (text := file.text("conteudo", ""))), "")
            if held:
                _documents.put((self._mine, key), held)
        return str(held)

    def _objects(self, order: Reader) -> list[Any]:
        """The shipping object of every parcel that has a tracking code. One is missing where Bling did not ship it."""
        found = []
        for volume in order.list("transporte.volumes"):
            identity = volume.integer("id", 0)
            if not identity or not volume.text("codigoRastreamento", ""):
                continue
            path = f"/logisticas/objetos/{identity}"
            answer = self.calls.send("GET", path, operation="shipping_object", accept=(NOT_FOUND,))
            if answer.status != NOT_FOUND:
                found.append({**answer.reader().object("data").raw, "id": identity})
        return found

    def read_push(self, request: PushRequest) -> Sequence[Announcement]:
        return pushes.read(request, str(self.account.credentials.get("client_secret", "")))


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_exact).encode("utf-8", "surrogatepass")


def _exact(value: Any) -> Any:
    """Decimals come from the exact reading of Bling's JSON: the same number, as text where a float cannot hold it."""
    if isinstance(value, Decimal):
        return number if Decimal(repr(number := float(value))) == value else str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
