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
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors.contract import (
    Account,
    Announcement,
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
from connectors.erps.bling import auth, listing, payloads, pushes
from connectors.erps.bling.mapping import CANCELLED, hub_key_in, is_usable, meaning_of
from connectors.erps.bling.memory import Memory
from connectors.failures import Category, Failure, Refusal
from connectors.http import Answer, Client
from connectors.reading import Reader, document_number
from orders.documents import OrderDocument

API = "/Api/v3"
PAGE_SIZE = 100
MOST_PAGES = 100
SKUS_PER_CALL = 50
FORBIDDEN, NOT_FOUND = 403, 404
# The search for products leaves out those without stock unless it is asked for them: none, zero, negative.
STOCK_FILTERS: tuple[str, ...] = ("", "0", "2")

# Keyed by account and host. A product that was deleted meanwhile is noticed when Bling refuses the order.
_products = Memory(seconds=300, size=50_000)
_forms = Memory(seconds=900, size=5_000)
# Own situation -> the base one it derives from; and NF-e -> its order, which spares the search for it.
_situations = Memory(seconds=3_600, size=20_000)
_orders_of_notes = Memory(seconds=86_400, size=50_000)
# An authorised NF-e never changes; open orders are read again and again.
_documents = Memory(seconds=3_600, size=500)


def explain(body: Any) -> tuple[str, str]:
    """(code, message) of Bling's error: what it says in general and of every field, with the place in a list."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code = str(error.get("type") or "")[:80]
    if error.get("period") == "day":
        code = "daily_limit"
    said = [error.get("description") or error.get("message") or ""]
    said += _said_of_fields(error.get("fields"))
    return code, " ".join(str(part) for part in said if part)[:500]


def _said_of_fields(fields: Any) -> Iterator[str]:
    for field in _objects_in(fields):
        element = field.get("element", "")
        yield f"[{element}] {field.get('msg', '')}"
        for entry in _objects_in(field.get("collection")):
            yield f"[{element} {entry.get('index', '')}] {entry.get('msg', '')}"


def _objects_in(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


class Bling:
    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.settings = account.settings
        self.http = http
        self.http.auth = auth.bearer
        self.http.explain = explain
        self._mine = (account.id, account.hosts.get("api", ""))

    # Signing in

    def consent_url(self, state: str) -> str:
        return auth.consent_url(self.account, state)

    def exchange(self, code: str, query: Mapping[str, str]) -> Credentials:
        return auth.exchange(self.http, code, query)

    def refresh(self) -> Credentials:
        return auth.refresh(self.http)

    def check(self) -> str:
        company = self._get("/empresas/me/dados-basicos", operation="check").object("data")
        return company.text("nome", company.text("id", ""))

    # Orders

    def find(self, reference: Reference) -> Sequence[ErpOrder]:
        """Orders with exactly this number, and of this channel: by `loja.id` where the settings say which one it is,
        else by the hub's key in the internal notes. One call, plus one per candidate that has to be opened.
        """
        return [found for row in self._numbered(reference.number) if (found := self._ours(row, reference))]

    def _numbered(self, number: str) -> list[Reader]:
        query = [("numerosLojas[]", number), ("pagina", "1"), ("limite", str(PAGE_SIZE))]
        rows = list(self._get("/pedidos/vendas", operation="find", params=query).list("data"))
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
            answer = self._call("GET", path, operation="situation", accept=(FORBIDDEN, NOT_FOUND))
            known = answer.reader().maybe("data") if answer.status < FORBIDDEN else Reader({})
            held = known.text("idHerdado", "")
            _situations.put((self._mine, situation), held)
        return str(held)

    def _order(self, external_id: str) -> Reader | None:
        """The whole order; None when it was deleted in Bling."""
        answer = self._call("GET", f"/pedidos/vendas/{external_id}", operation="order", accept=(NOT_FOUND,))
        return None if answer.status == NOT_FOUND else answer.reader().object("data")

    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        """Two calls for a returning buyer (three with `update_contacts`), three for a new one, once the products and
        the payment form are known.
        """
        money = payloads.amounts(order)
        products = self._products_of(order)
        form = self._payment_form()
        contact = self._contact_of(order)
        body = payloads.sale(order, reference, self.settings, contact_id=contact, products=products, payment_form=form)
        try:
            made = self._call("POST", "/pedidos/vendas", operation="create", json=body, effect=True).reader()
        except Failure as failure:
            if failure.category is Category.REJECTED:
                self._forget(order)
            raise
        return ErpOrder(
            external_id=_id_of_write(made), reference=reference.number, hub_key=reference.hub_key, total=money.total
        )

    def _forget(self, order: OrderDocument) -> None:
        """What was remembered may be what Bling refused."""
        _forms.forget(self._mine)
        for item in order.items:
            _products.forget((self._mine, item.sku))

    def cancel(self, external_id: str) -> Receipt:
        order = self._order(external_id)
        if order is None:
            return Receipt(Outcome.ALREADY, "The order was deleted in Bling.", external_id)
        if self._means(order.text("situacao.id", "")) == "cancelled":
            return Receipt(Outcome.ALREADY, "The order was cancelled in Bling before.", external_id)
        self._call("PATCH", f"/pedidos/vendas/{external_id}/situacoes/{CANCELLED}", operation="cancel")
        message = ""
        if order.integer("notaFiscal.id", 0):
            message = "Its NF-e has to be cancelled by hand in Bling: there is no call for that."
        return Receipt(Outcome.ACCEPTED, message, external_id)

    # Contacts

    def _contact_of(self, order: OrderDocument) -> int:
        wanted = payloads.contact(order)
        found = self._find_contact(wanted["numeroDocumento"])
        if not found:
            return self._make_contact(wanted)
        if self.settings.get("update_contacts", True) not in (False, "false", "no", "0"):
            self._refresh_contact(found, wanted)
        return found

    def _find_contact(self, number: str, **query: str) -> int:
        """Id of the contact with exactly this document; 0 for none. Deleted ones do not count."""
        asked = query or {"numeroDocumento": number}
        params = {**asked, "criterio": "1", "pagina": "1", "limite": str(PAGE_SIZE)}
        rows = self._get("/contatos", operation="find_contact", params=params).list("data")
        ids = [
            row.integer("id")
            for row in rows
            if document_number(row.text("numeroDocumento", "")) == number and row.text("situacao", "A") != "E"
        ]
        # Bling itself makes duplicates at times; the oldest is the one the seller knows.
        return min(ids, default=0)

    def _make_contact(self, wanted: Mapping[str, Any]) -> int:
        try:
            made = self._call("POST", "/contatos", operation="create_contact", json=wanted, effect=True)
            return int(_id_of_write(made.reader()))
        except Failure as failure:
            # Whatever became of the contact, the order was not sent; and the next try looks for the contact first.
            failure.uncertain = False
            if failure.category is not Category.REJECTED or "cadastrado" not in failure.message.lower():
                raise
            return self._registered_before(wanted, failure)

    def _registered_before(self, wanted: Mapping[str, Any], refused: Failure) -> int:
        """Another worker was faster, or the search does not know the document in the way Bling wrote it."""
        number = wanted["numeroDocumento"]
        found = self._find_contact(number) or self._find_contact(number, pesquisa=wanted["nome"])
        if not found:
            raise refused
        return found

    def _refresh_contact(self, contact: int, wanted: Mapping[str, Any]) -> None:
        held = self._get(f"/contatos/{contact}", operation="contact").object("data")
        if (body := payloads.refreshed_contact(held.raw, wanted)) is not None:
            self._call("PUT", f"/contatos/{contact}", operation="update_contact", json=_plain(body))

    # Products and forms of payment

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        found = self._find_products(skus)
        return {sku: str(min(ids)) for sku, ids in found.items()}

    def _products_of(self, order: OrderDocument) -> dict[str, int]:
        """SKU -> product id for all lines; a Refusal that names what Bling does not have."""
        paths = {item.sku: f"$.items[{place}].sku" for place, item in reversed(list(enumerate(order.items)))}
        if "" in paths:
            raise Refusal("The line has no SKU.", path=paths[""], code="sku")
        known: dict[str, int | None] = {sku: _products.get((self._mine, sku)) for sku in paths}
        unknown = [sku for sku, product in known.items() if product is None]
        found = self._find_products(unknown) if unknown else {}
        for sku in unknown:
            known[sku] = _the_one(sku, found.get(sku, ()), paths[sku])
            _products.put((self._mine, sku), known[sku])
        return {sku: product for sku, product in known.items() if product is not None}

    def _find_products(self, skus: Sequence[str]) -> dict[str, list[int]]:
        """SKU -> ids of the products with exactly that code: the active ones where there are any."""
        found: dict[str, list[int]] = {}
        wanted = list(dict.fromkeys(sku for sku in skus if sku))
        for stock in STOCK_FILTERS:
            missing = [sku for sku in wanted if sku not in found]
            for start in range(0, len(missing), SKUS_PER_CALL):
                found |= self._with_codes(missing[start : start + SKUS_PER_CALL], stock)
        return found

    def _with_codes(self, skus: Sequence[str], stock: str) -> dict[str, list[int]]:
        rows: dict[str, list[Reader]] = {}
        query = [("codigos[]", sku) for sku in skus] + [("criterio", "5"), ("tipo", "T")]
        query += [("filtroSaldoEstoque", stock)] if stock else []
        for row in self._all("/produtos", query, operation="find_products"):
            if (code := str(row.raw.get("codigo") or "")) in skus:
                rows.setdefault(code, []).append(row)
        return {code: _active(same) for code, same in rows.items()}

    def _payment_form(self) -> int:
        if chosen := payloads.whole(self.settings, "payment_form"):
            return chosen
        held = _forms.get(self._mine)
        if held is None:
            rows = list(self._all("/formas-pagamentos", [("situacao", "1")], operation="payment_forms"))
            if not rows:
                raise Refusal("The Bling account has no active form of payment.", path="$.settings.payment_form")
            default = next((row for row in rows if row.integer("padrao", 0) == 1), rows[0])
            held = default.integer("id")
            _forms.put(self._mine, held)
        return int(held)

    def _all(self, path: str, query: list[tuple[str, str]], *, operation: str) -> Iterator[Reader]:
        """Every row of a list. A page that repeats the one before ends it: the page number was ignored."""
        before: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            params = [*query, ("pagina", str(page)), ("limite", str(PAGE_SIZE))]
            rows = list(self._get(path, operation=operation, params=params).list("data"))
            raw = [row.raw for row in rows]
            if raw == before:
                return
            yield from rows
            if len(rows) < PAGE_SIZE:
                return
            before = raw

    # Reading changes

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """One call: a page of orders by alteration, of invoices by issue, or of cancelled invoices, in turn.

        An invoice's row does not name its order, so its `external_id` is "nfe:<id>", which `fetch` resolves.
        """
        place = listing.resume(cursor, self.settings, window, datetime.now(UTC))
        stream = place.stream
        query = [*stream.query(place, self.settings), ("pagina", str(place.page)), ("limite", str(PAGE_SIZE))]
        rows = list(self._get(stream.path, operation="changes", params=query).list("data"))
        found = [Change(f"{stream.prefix}{row.text('id')}", _encoded(row.raw)) for row in rows if stream.is_news(row)]
        after = place.after(len(rows) >= PAGE_SIZE)
        return Page(found, after.cursor(), more=after.more)

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
        answer = self._call("GET", f"/nfe/{invoice}", operation="invoice", accept=(NOT_FOUND,))
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
            answer = self._call(
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
            answer = self._call("GET", path, operation="shipping_object", accept=(NOT_FOUND,))
            if answer.status != NOT_FOUND:
                found.append({**answer.reader().object("data").raw, "id": identity})
        return found

    def read_push(self, request: PushRequest) -> Sequence[Announcement]:
        return pushes.read(request, str(self.account.credentials.get("client_secret", "")))

    # Calls

    def _get(self, path: str, *, operation: str, params: Any = None) -> Reader:
        return self._call("GET", path, operation=operation, params=params).reader()

    def _call(self, method: str, path: str, *, operation: str, **options: Any) -> Answer:
        try:
            return self.http.request(method, f"{API}{path}", operation=operation, **options)
        except Failure as failure:
            if failure.code == "daily_limit":
                failure.retry_at = _next_midnight(datetime.now(UTC))
                self.http.around.pause(operation, failure.retry_at)
            raise


def _next_midnight(now: datetime) -> datetime:
    """When the day's calls are counted anew: at midnight in Brasília, as far as is known."""
    tomorrow = now.astimezone(payloads.BRASILIA).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(0), payloads.BRASILIA).astimezone(UTC)


def _id_of_write(answer: Reader) -> str:
    """The id of what was just written; without it nobody knows what happened."""
    try:
        return str(answer.integer("data.id"))
    except Refusal as refusal:
        raise Failure(
            Category.TRANSIENT, f"Bling accepted it but did not say its id: {refusal}", code="no_id", uncertain=True
        ) from refusal


def _active(rows: Sequence[Reader]) -> list[int]:
    active = [row for row in rows if row.text("situacao", "A") == "A"]
    return sorted({row.integer("id") for row in active or rows})


def _the_one(sku: str, ids: Sequence[int], path: str) -> int:
    if not ids:
        raise Refusal(f"Bling has no product with the code {sku!r}.", path=path, code="sku")
    if len(ids) > 1:
        named = ", ".join(str(one) for one in ids)
        raise Refusal(f"Bling has several products with the code {sku!r}: {named}.", path=path, code="sku")
    return ids[0]


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_exact).encode("utf-8", "surrogatepass")


def _exact(value: Any) -> Any:
    """Decimals come from the exact reading of Bling's JSON: the same number, as text where a float cannot hold it."""
    if isinstance(value, Decimal):
        return number if Decimal(repr(number := float(value))) == value else str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _plain(body: Mapping[str, Any]) -> Any:
    """The same body with floats where Bling's JSON had numbers."""
    return json.loads(json.dumps(body, default=float))
