"""Tryton as the hub's ERP. Every fact about the server is of the fact sheet, proven on 7.0."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.contract import (
    Account,
    CensusPage,
    Change,
    Credentials,
    Cursor,
    ErpOrder,
    Outcome,
    Page,
    Receipt,
    Reference,
    Window,
)
from connectors.erps.tryton import census, payloads
from connectors.erps.tryton.mapping import GONE, ISSUED, erp_order
from connectors.erps.tryton.rpc import Rpc
from connectors.failures import Category, Failure, Refusal
from connectors.http import Client
from connectors.reading import Reader
from orders.documents import Address, OrderDocument

PAGE = 200
# A row carries the time its transaction began at, but is seen once that has ended. Longer ones are a batch run.
OVERLAP = timedelta(seconds=30)
# A connection that does not say where to start.
FIRST_LOOK_BACK = timedelta(days=1)
_OPEN = ("draft", "quotation")
_SALE_FIELDS = [
    "number", "reference", "comment", "state", "invoice_state", "shipment_state", "total_amount",
    "invoices.state", "shipments.state",
]  # fmt: skip
_FETCH_FIELDS = [
    "number", "reference", "description", "comment", "state", "invoice_state", "shipment_state", "sale_date",
    "total_amount", "create_date", "write_date", "party.name", "shipment_returns",
    *(
        f"invoices.{name}"
        for name in ("number", "reference", "state", "invoice_date", "total_amount", "create_date", "write_date")
    ),
    *(
        f"shipments.{name}"
        for name in (
            "number", "state", "effective_date", "planned_date", "shipping_reference", "carrier.party.name",
            "packages.shipping_reference", "create_date", "write_date",
        )
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Stream:
    """Rows of one model by one of their two dates: `write_date` is empty until the first change."""

    model: str
    date: str
    sales: str

    @property
    def name(self) -> str:
        return f"{self.model}.{self.date}"


# A sale's own date does not move when somebody types a tracking code or a key: so all three are read.
STREAMS = [
    Stream(model, date, sales)
    for model, sales in (("sale.sale", "id"), ("stock.shipment.out", "moves.sale"), ("account.invoice", "sales"))
    for date in ("create_date", "write_date")
]


class Tryton:
    def __init__(self, account: Account, http: Client) -> None:
        self.account = account
        self.rpc = Rpc(account, http)

    # --- Signing in ------------------------------------------------------------------------------------------------

    def refresh(self) -> Credentials:
        """A new session. Never repeated by itself: a refused login (auth) pauses the connection."""
        return self.rpc.login()

    def check(self) -> str:
        return str(self.rpc.preferences().get("company.rec_name") or self.account.settings.get("database", ""))

    # --- Sales -----------------------------------------------------------------------------------------------------

    def find(self, reference: Reference) -> Sequence[ErpOrder]:
        """Sales with this reference that are ours, ours by hub key first; those of another channel are left out.

        A sale that a person typed carries no hub key and is reported. One of ours that a crash left as draft or
        quotation is first quoted and confirmed, so that adopting it is all that is left to do (`settings.confirm`).
        """
        found = self._with_reference(reference)
        return [self._finished(one) if one.hub_key and not one.cancelled else one for one in found]

    def _with_reference(self, reference: Reference) -> list[ErpOrder]:
        rows = self._rows("sale.sale", [["reference", "=", reference.number]], _SALE_FIELDS, "find")
        found = [erp_order(Reader(row)) for row in rows]
        fitting = [one for one in found if one.reference == reference.number and one.hub_key in ("", reference.hub_key)]
        return sorted(fitting, key=lambda one: (not one.hub_key, int(one.external_id)))

    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        """Buyer and address are found or made, then the sale, then it is quoted and confirmed.

        A sale that carries this hub key already is completed instead of making a second one. A failure after the
        sale exists is `uncertain`, unless the server refuses it for good: then the message names the sale.
        """
        ours = [one for one in self._with_reference(reference) if one.hub_key and not one.cancelled]
        if ours:
            return self._finished(ours[0])
        values = self._sale_values(order, reference)
        created = self.rpc.call("model.sale.sale.create", [values], operation="create", effect=True)
        return self._finished_new(_first_id(created))

    def _sale_values(self, order: OrderDocument, reference: Reference) -> dict[str, Any]:
        settings = self.account.settings
        currency = str(settings.get("currency") or "BRL")
        if order.currency != currency:
            raise Refusal(
                f"Tryton's company sells in {currency}, this order is in {order.currency}.", path="$.currency"
            )
        lines = payloads.sale_lines(order, settings)
        products = self._products([line.sku for line in lines])
        rows = [payloads.line(line, _product(line, products)) for line in lines]
        return payloads.sale(order, reference, rows, self._buyer(order), settings)

    def _finished_new(self, sale: int) -> ErpOrder:
        try:
            return self._finished(self._sale(sale))
        except Refusal as refusal:
            message = f"Sale {sale} was created in Tryton, but could not be confirmed. {refusal.message}"
            raise Refusal(message, code=refusal.code, path=refusal.path) from refusal
        except Failure as failure:
            failure.uncertain = True
            raise

    def _finished(self, order: ErpOrder) -> ErpOrder:
        """The sale quoted and confirmed as far as that is still to do and wanted; its state is read back each time."""
        steps = ["quote", "confirm"] if self._confirms() else ["quote"]
        for button, before in zip(steps, _OPEN, strict=False):
            if _state(order) == before:
                self.rpc.press("sale.sale", button, int(order.external_id))
                order = self._moved(order, button, before)
        return order

    def _moved(self, order: ErpOrder, button: str, before: str) -> ErpOrder:
        now = self._sale(int(order.external_id))
        if _state(now) == before:
            raise Refusal(f"Tryton left sale {order.external_id} in state {before} after {button}.", code=button)
        return now

    def _confirms(self) -> bool:
        return str(self.account.settings.get("confirm", "true")).strip().lower() not in ("false", "0", "no", "off")

    def _sale(self, sale: int) -> ErpOrder:
        return erp_order(Reader(self._row(sale, _SALE_FIELDS)))

    def _row(self, sale: int, fields: list[str]) -> Mapping[str, Any]:
        rows = self._rows("sale.sale", [["id", "=", sale]], fields, "read")
        if not rows:
            raise Refusal(f"Tryton has no sale {sale}.", code="not_found")
        return rows[0]

    # --- Buyer and products ----------------------------------------------------------------------------------------

    def _buyer(self, order: OrderDocument) -> dict[str, int]:
        name = order.buyer.name or (order.ship_to.recipient if order.ship_to else "")
        party = self._party(order, name)
        ship_to = self._address(party, order.ship_to or order.bill_to, name)
        same = order.bill_to is None or order.bill_to == order.ship_to
        bill_to = ship_to if same else self._address(party, order.bill_to, name)
        return {"party": party, "invoice_address": bill_to, "shipment_address": ship_to}

    def _party(self, order: OrderDocument, name: str) -> int:
        """By CPF or CNPJ, the oldest of several; a buyer without one is made anew for each order.

        Tryton accepts a document twice: two first orders of one buyer at the same moment may make two parties.
        """
        if found := payloads.identifier(order.buyer):
            domain = [["type", "=", found[0]], ["code", "in", found[1]], ["party.active", "=", True]]
            parties = [
                Reader(row).integer("party") for row in self._rows("party.identifier", domain, ["party"], "party")
            ]
            if parties:
                return min(parties)
        values = payloads.party(order.buyer, name)
        return _first_id(self.rpc.call("model.party.party.create", [values], operation="party.create", effect=True))

    def _address(self, party: int, place: Address | None, name: str) -> int:
        """An address of the party that says the same, or a new one."""
        values = payloads.address(place, name)
        same = [[field, "in", [value, None] if value == "" else [value]] for field, value in values.items()]
        rows = self._rows("party.address", [["party", "=", party], *same], ["party"], "address")
        if rows:
            return min(Reader(row).integer("id") for row in rows)
        values |= {"party": party, **self._region(place)}
        return _first_id(self.rpc.call("model.party.address.create", [values], operation="address.create", effect=True))

    def _region(self, place: Address | None) -> dict[str, int]:
        """Country and subdivision, where the installation has loaded them."""
        if place is None or not place.state:
            return {}
        code = f"{place.country}-{place.state}".upper()
        rows = self._rows("country.subdivision", [["code", "=", code]], ["country"], "subdivision")
        return {"country": Reader(rows[0]).integer("country"), "subdivision": rows[0]["id"]} if rows else {}

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        return {sku: str(min(row["id"] for row in rows)) for sku, rows in self._products(skus).items()}

    def _products(self, skus: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
        """SKU -> its products: nothing keeps two from having the same code."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        wanted = sorted(set(skus))
        for start in range(0, len(wanted), PAGE):
            domain = [["code", "in", wanted[start : start + PAGE]]]
            for row in self._rows("product.product", domain, ["code", "sale_uom", "salable"], "items"):
                found.setdefault(Reader(row).text("code"), []).append(row)
        return found

    # --- Cancelling ------------------------------------------------------------------------------------------------

    def cancel(self, external_id: str) -> Receipt:
        """An open sale by its button; one in process by cancelling what it led to. Nothing once invoiced or sent."""
        sale = _number(external_id)
        row = Reader(self._row(sale, _FETCH_FIELDS))
        if erp_order(row).cancelled:
            return Receipt(Outcome.ALREADY, "Tryton had cancelled this sale before.", external_id)
        if row.text("state", "") in _OPEN:
            self.rpc.press("sale.sale", "cancel", sale)
        else:
            self._unwind(sale, row)
        now = self._sale(sale)
        if not now.cancelled:
            raise Refusal(f"Tryton left sale {external_id} uncancelled: {now.raw_status}.", code="not_cancelled")
        return Receipt(Outcome.ACCEPTED, f"Cancelled in Tryton: {now.raw_status}.", external_id)

    def _unwind(self, sale: int, row: Reader) -> None:
        """`cancel` does nothing to a sale in process (7.0): cancel its parts, then recreate none of them."""
        for key, final, what in (("invoices", ISSUED, "invoiced"), ("shipments", GONE, "sent")):
            if any(part.text("state", "") in final for part in row.list(key)):
                raise Refusal(f"Sale {sale} is {what} already: settle it in Tryton.", code=f"already_{what}")
        for key, model in (("shipments", "stock.shipment.out"), ("invoices", "account.invoice")):
            for part in row.list(key):
                if part.text("state", "") != "cancelled":
                    self.rpc.press(model, "cancel", part.integer("id"))
        for subject, things in (("shipment", "moves"), ("invoice", "invoices")):
            if Reader(self._row(sale, _SALE_FIELDS)).text(f"{subject}_state", "") == "exception":
                self._ignore_exception(sale, f"sale.handle.{subject}.exception", things)

    def _ignore_exception(self, sale: int, name: str, things: str) -> None:
        about = {"active_model": "sale.sale", "active_id": sale, "active_ids": [sale]}
        session = self._wizard(name, "create", about)[0]
        view = Reader(self._wizard(name, "execute", about, session, {}, "ask")).maybe("view")
        concerned = [int(one) for one in view.maybe("defaults").words(f"domain_{things}")]
        answer = {f"recreate_{things}": [], f"domain_{things}": concerned}
        # 8.0 wants to be told what to ignore; 7.0 ignores what is not recreated and knows no such field.
        if view.maybe("fields_view").maybe("fields").has(f"ignore_{things}"):
            answer[f"ignore_{things}"] = concerned
        self._wizard(name, "execute", about, session, {"ask": answer}, "handle", effect=True)
        self._wizard(name, "delete", about, session)

    def _wizard(self, name: str, step: str, about: Mapping[str, Any], *params: Any, effect: bool = False) -> Any:
        return self.rpc.call(f"wizard.{name}.{step}", *params, operation="wizard", effect=effect, extra=about)

    # --- Reading back ----------------------------------------------------------------------------------------------

    def fetch(self, external_id: str, hint: bytes = b"") -> bytes:
        """`{"sale": {…, "invoices": […], "shipments": […]}, "attachments": […]}`: one or two calls."""
        row = self._row(_number(external_id), _FETCH_FIELDS)
        invoices = [one.integer("id") for one in Reader(row).list("invoices") if one.text("state", "") in ISSUED]
        attachments = self._attachments(invoices) if invoices else []
        return json.dumps({"sale": row, "attachments": attachments}, default=str, sort_keys=True).encode()

    def _attachments(self, invoices: list[int]) -> list[Mapping[str, Any]]:
        owners = [f"account.invoice,{invoice}" for invoice in invoices]
        domain = [["resource", "in", owners], ["type", "=", "data"], ["name", "ilike", "%.xml"]]
        return self._rows("ir.attachment", domain, ["name", "data", "resource"], "attachments")

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """One page of every stream. The cursor: stream -> [time of its last row, id of that row].

        Rows are taken up after the last one by (time, id), not by offset: a row that changes meanwhile would shift
        the pages. A finished poll steps back by `OVERLAP`; what is then seen twice has the same body.
        """
        changes: list[Change] = []
        places: dict[str, list[Any]] = {}
        more = False
        for stream in STREAMS:
            place = cursor.get(stream.name) or [self._start(window).isoformat(), 0]
            rows = [Reader(row) for row in self._stream(stream, place, window)]
            changes += [change for row in rows for change in _changes(stream, row)]
            places[stream.name] = [rows[-1].when(stream.date).isoformat(), rows[-1].integer("id")] if rows else place
            more = more or len(rows) == PAGE
        if not more:
            places = {name: _stepped_back(place) for name, place in places.items()}
        return Page(changes, places, more)

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        domain = census.domain(window, int(cursor.get("after", 0)))
        rows = self._rows("sale.sale", domain, census.FIELDS, "census")
        return CensusPage(census.listed(rows), {"after": rows[-1]["id"]} if rows else cursor, more=len(rows) == PAGE)

    def _start(self, window: Window | None) -> datetime:
        if window is not None:
            return window.since
        said = Reader(self.account.settings, "$.settings").moment("start_at", None)
        return said or datetime.now(UTC) - FIRST_LOOK_BACK

    def _stream(self, stream: Stream, place: Sequence[Any], window: Window | None) -> list[Mapping[str, Any]]:
        after, last = datetime.fromisoformat(place[0]), place[1]
        domain: list[Any] = [["OR", [stream.date, ">", after], [[stream.date, "=", after], ["id", ">", last]]]]
        if window is not None:
            domain.append([stream.date, "<", window.until])
        if stream.date == "create_date":
            domain.append(["write_date", "=", None])
        order = [[stream.date, "ASC"], ["id", "ASC"]]
        fields = [stream.date, *([stream.sales] if stream.sales != "id" else [])]
        return self._rows(stream.model, domain, fields, "changes", order)

    def _rows(
        self, model: str, domain: list[Any], fields: list[str], operation: str, order: list[Any] | None = None
    ) -> list[Mapping[str, Any]]:
        order = order or [["id", "ASC"]]
        rows = self.rpc.call(f"model.{model}.search_read", domain, 0, PAGE, order, fields, operation=operation)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Failure(Category.TRANSIENT, f"Tryton's list of {model} is no list of records.", code="not_a_list")
        return rows


def _changes(stream: Stream, row: Reader) -> Iterator[Change]:
    changed = row.when(stream.date).isoformat()
    for sale in _sales_of(stream, row):
        body = {"id": sale, "model": stream.model, "record": row.integer("id"), "changed": changed}
        yield Change(str(sale), json.dumps(body, sort_keys=True).encode())


def _sales_of(stream: Stream, row: Reader) -> list[int]:
    """The ids of the sales that a row is about; none for an invoice or a shipment without one."""
    if stream.sales == "id":
        return [row.integer("id")]
    if stream.sales == "sales":
        return sorted({int(sale) for sale in row.words("sales")})
    return sorted({move.integer("sale") for move in row.list("moves") if move.has("sale")})


def _stepped_back(place: Sequence[Any]) -> list[Any]:
    """Before the overlap, once: a place with id 0 was stepped back before and nothing came since."""
    moment, last = datetime.fromisoformat(place[0]), place[1]
    return [(moment - OVERLAP).isoformat(), 0] if last else [moment.isoformat(), 0]


def _product(line: payloads.SaleLine, products: Mapping[str, list[Mapping[str, Any]]]) -> Mapping[str, Any]:
    found = products.get(line.sku, [])
    if not found:
        raise Refusal(f"Tryton has no product with the code {line.sku!r}.", path=line.path, code="unknown_sku")
    if len(found) > 1:
        raise Refusal(
            f"Tryton has {len(found)} products with the code {line.sku!r}.", path=line.path, code="double_sku"
        )
    # SQLite gives 1 for true.
    if not found[0].get("salable"):
        raise Refusal(f"Tryton's product {line.sku!r} is not salable.", path=line.path, code="not_salable")
    return found[0]


def _state(order: ErpOrder) -> str:
    return order.raw_status.split(",")[0]


def _first_id(created: Any) -> int:
    if not isinstance(created, list) or len(created) != 1 or not isinstance(created[0], int):
        raise Failure(
            Category.TRANSIENT, f"Tryton's answer names no new record: {created!r:.80}", code="no_id", uncertain=True
        )
    return created[0]


def _number(external_id: str) -> int:
    if not (external_id.isascii() and external_id.isdigit()):
        raise Refusal(f"{external_id!r:.60} is no id of a sale in Tryton.", code="bad_id")
    return int(external_id)
