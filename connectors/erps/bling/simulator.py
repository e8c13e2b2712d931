"""A Bling account, with the back office behind it: it invoices and ships what it was given.

Built from the documentation of API v3 alone. Real on the wire: paging, PHP-style list filters, parameters that are
ignored when unknown, default filters that hide things, floats for money, Brasília times without a zone, rotating
refresh tokens, codes that work once and take the consent with them, signed webhooks. Two orders may have the same
`numeroLoja`, as in the real one.
"""

import base64
import gzip
import itertools
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.erps.bling.simulated_office import (
    CLIENT_ID,
    CLIENT_SECRET,
    COMPANY_ID,
    BlingOffice,
)
from connectors.erps.bling.simulated_papers import COMPANY_CNPJ, Row, total
from connectors.simulation.server import Request, Response, route

API = "/Api/v3"
PER_SECOND, PER_DAY = 3, 120_000
LARGEST_PAGE = 100
PAYMENT_FORM = 3_100_001


class BlingSimulator(BlingOffice):
    """The endpoints; its options are the office's."""

    # Signing in

    @route("GET", API + "/oauth/authorize")
    def authorize(self, request: Request) -> Response:
        """Gives the consent at once, if the application has registered an address to go back to."""
        query = urlencode({"code": self.consent(), "state": request.param("state")})
        return Response(302, b"", {"Location": f"{self.redirect_uri}?{query}"})

    @route("POST", API + "/oauth/token")
    def token(self, request: Request) -> Response:
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return _oauth_error(401, "invalid_client", "The client credentials are invalid")
        form = request.form()
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") != self.refresh:
                return _oauth_error(400, "invalid_grant", "Invalid refresh token")
            return Response(body=self._grant())
        code = form.get("code", "")
        if not self.codes.get(code):
            # A code used twice takes away what its first use gave.
            if code in self.codes:
                self.access.clear()
                self.refresh = ""
            return _oauth_error(400, "invalid_grant", "Invalid authorization code")
        self.codes[code] = False
        return Response(body=self._grant())

    def handle(self, request: Request) -> Response:
        if request.path.startswith(API + "/oauth/"):
            return super().handle(request)
        with self.lock:
            refused = self._refused(request)
        return refused or super().handle(request)

    def _refused(self, request: Request) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.access.get(token, 0.0) < time.monotonic() or request.headers.get("enable-jwt") != "1":
            return self.unauthorised(request)
        return self._over_limit() if self.limits else None

    def _over_limit(self) -> Response | None:
        now = time.monotonic()
        while self.calls and self.calls[0] <= now - 1:
            self.calls.popleft()
        if self.calls_today >= PER_DAY:
            return _limit(PER_DAY, "day")
        if len(self.calls) >= PER_SECOND:
            return _limit(PER_SECOND, "second")
        self.calls.append(now)
        self.calls_today += 1
        return None

    def limited(self, request: Request) -> Response:
        return _limit(PER_SECOND, "second")

    def unauthorised(self, request: Request) -> Response:
        return _error(401, "invalid_token", "The access token provided is invalid or expired.")

    def not_found(self, request: Request) -> Response:
        return _error(404, "RESOURCE_NOT_FOUND", "O recurso requisitado não foi encontrado.")

    # Company, channels, forms of payment, situations

    @route("GET", API + "/empresas/me/dados-basicos")
    def company(self, request: Request) -> Response:
        return _data(
            {"id": COMPANY_ID, "nome": "Loja Exemplo Ltda", "cnpj": COMPANY_CNPJ, "email": "loja@exemplo.test"}
        )

    @route("GET", API + "/formas-pagamentos")
    def payment_forms(self, request: Request) -> Response:
        rows = [
            _payment_form(PAYMENT_FORM + 1, "Dinheiro", 1, 0),
            _payment_form(PAYMENT_FORM, "Marketplace", 99, 1),
        ]
        return _page(request, rows)

    @route("GET", API + "/situacoes/{id}")
    def read_situation(self, request: Request) -> Response:
        situation = int(request.args["id"])
        if situation not in self.situations:
            return self.not_found(request)
        name, base = self.situations[situation]
        return _data({"id": situation, "nome": name, "idHerdado": base, "cor": "#E9DC40"})

    # Contacts

    @route("GET", API + "/contatos")
    def list_contacts(self, request: Request) -> Response:
        document = _bare(request.param("numeroDocumento"))
        words = request.param("pesquisa").casefold()
        found: Iterable[int] = self.contacts
        if document:
            found = self.contacts_by_document.get(document, [])
        rows = (self.contacts[one] for one in found)
        if words:
            rows = (row for row in rows if words in row["nome"].casefold() or words == row["numeroDocumento"])
        # Without a criterion only what came in last is listed.
        kept = [_contact_row(row) for row in rows if request.param("criterio", "3") != "3" or row["situacao"] == "A"]
        if request.param("criterio", "3") == "3":
            kept = kept[-1:]
        return _page(request, kept)

    @route("POST", API + "/contatos")
    def create_contact(self, request: Request) -> Response:
        body = request.json()
        missing = [name for name in ("nome", "situacao", "tipo") if not body.get(name)]
        if missing:
            return _invalid("O contato não pode ser salvo", [_field(1, f"Informe {name}.", name) for name in missing])
        document = _bare(body.get("numeroDocumento", ""))
        if twins := self.contacts_by_document.get(document) if document else None:
            kind = "CPF" if len(document) == 11 else "CNPJ"
            name = self.contacts[twins[0]]["nome"]
            said = f"O {kind} já está cadastrado no contato {name}"
            return _invalid("O contato não pode ser salvo", [_field(3, said, "numeroDocumento")])
        contact = next(self.ids)
        self.contacts[contact] = {"codigo": "", "telefone": "", "celular": "", **body, "id": contact}
        self.contacts[contact]["numeroDocumento"] = document
        if document:
            self.contacts_by_document.setdefault(document, []).append(contact)
        return _data({"id": contact}, 201)

    @route("GET", API + "/contatos/{id}")
    def read_contact(self, request: Request) -> Response:
        contact = self.contacts.get(int(request.args["id"]))
        return _data(contact) if contact else self.not_found(request)

    @route("PUT", API + "/contatos/{id}")
    def replace_contact(self, request: Request) -> Response:
        contact = int(request.args["id"])
        if contact not in self.contacts:
            return self.not_found(request)
        document = self.contacts[contact]["numeroDocumento"]
        self.contacts[contact] = {**request.json(), "id": contact, "numeroDocumento": document}
        return Response(204)

    # Products

    @route("GET", API + "/produtos")
    def list_products(self, request: Request) -> Response:
        codes = request.params("codigos[]")
        rows = [row for code in codes or self.products for row in self.products.get(code, [])]
        stock = _STOCK[request.param("filtroSaldoEstoque", "1")]
        criterion = request.param("criterio", "1")
        kept = [
            row
            for row in rows
            if stock(row["estoque"]["saldoVirtualTotal"]) and row["situacao"] in _PRODUCTS.get(criterion, "AI")
        ]
        return _page(request, kept[-1:] if criterion == "1" and not codes else kept)

    # Orders

    @route("GET", API + "/pedidos/vendas")
    def list_orders(self, request: Request) -> Response:
        if too_long := _too_long(request, "dataAlteracao", "data"):
            return too_long
        return _page(request, (_order_row(row) for row in self._orders(request)))

    def _orders(self, request: Request) -> Iterable[Row]:
        """Newest change first."""
        if numbers := request.params("numerosLojas[]"):
            found: Iterable[int] = [one for number in numbers for one in self.orders_by_number.get(number, [])]
        else:
            found = self._altered_since(request.param("dataAlteracaoInicial"))
        return (row for one in found if _fits(request, row := self.orders[one], self.altered[one]))

    def _altered_since(self, since: str) -> Iterable[int]:
        for one in reversed(self.altered):
            if self.altered[one] < since:
                return
            yield one

    @route("POST", API + "/pedidos/vendas")
    def create_order(self, request: Request) -> Response:
        body = request.json()
        problems = self._problems(body)
        if problems:
            return _invalid("A venda não pode ser salva, pois ocorreram problemas em sua validação.", problems)
        order = next(self.ids)
        self.orders[order] = self._new_order(order, body)
        self.orders_by_number.setdefault(body.get("numeroLoja", ""), []).append(order)
        self._changed(order, "created")
        self._schedule(order)
        return _data({"id": order, "alertas": [], "rastreamento": {}}, 201)

    def _problems(self, body: Row) -> list[Row]:
        problems = []
        if (body.get("contato") or {}).get("id") not in self.contacts:
            problems.append(_field(2, "Contato inválido.", "contato"))
        if not body.get("itens"):
            problems.append(_field(44, "Informe ao menos um item.", "itens"))
        parts = [_parcel_problem(place, parcel) for place, parcel in enumerate(body.get("parcelas") or [])]
        wrong = [part for part in parts if part]
        if wrong or not parts:
            said = "Uma ou mais parcelas da venda possuem erros de validação"
            problems.append({**_field(49, said, "parcelas"), "collection": wrong})
        elif abs(sum(parcel["valor"] for parcel in body["parcelas"]) - total(body)) >= 0.005:
            problems.append(_field(50, "O somatório das parcelas difere do total da venda.", "parcelas"))
        return problems

    @route("GET", API + "/pedidos/vendas/{id}")
    def read_order(self, request: Request) -> Response:
        order = self.orders.get(int(request.args["id"]))
        return _data(order) if order else self.not_found(request)

    @route("DELETE", API + "/pedidos/vendas/{id}")
    def delete_order(self, request: Request) -> Response:
        order = self.orders.pop(int(request.args["id"]), None)
        if order is None:
            return self.not_found(request)
        del self.altered[order["id"]]
        self.orders_by_number[order.get("numeroLoja", "")].remove(order["id"])
        self._push("order.deleted", {"id": order["id"]})
        return Response(204)

    @route("PATCH", API + "/pedidos/vendas/{id}/situacoes/{situation}")
    def move_order(self, request: Request) -> Response:
        order, situation = self.orders.get(int(request.args["id"])), int(request.args["situation"])
        if order is None or situation not in self.situations:
            return self.not_found(request)
        self._move(order, situation)
        return Response(204)

    # Invoices and parcels

    @route("GET", API + "/nfe")
    def list_notes(self, request: Request) -> Response:
        if too_long := _too_long(request, "dataEmissao"):
            return too_long
        return _page(request, (_note_row(row) for row in self._notes(request)))

    def _notes(self, request: Request) -> Iterable[Row]:
        if number := request.param("numeroLoja"):
            found: Iterable[int] = self.notes_by_number.get(number, [])
        else:
            found = reversed(self.notes)
        since, until = request.param("dataEmissaoInicial"), request.param("dataEmissaoFinal", "9999")
        state = request.param("situacao")
        for one in found:
            note = self.notes[one]
            if note["dataEmissao"] < since:
                return
            if str(note["tipo"]) != request.param("tipo", "1") or note["dataEmissao"] > until:
                continue
            # Without a state asked for, cancelled ones are left out.
            if str(note["situacao"]) == state or (not state and note["situacao"] != 2):
                yield note

    @route("GET", API + "/nfe/{id}")
    def read_note(self, request: Request) -> Response:
        note = self.notes.get(int(request.args["id"]))
        if note is None:
            return self.not_found(request)
        return _data({name: value for name, value in note.items() if not name.startswith("_")})

    @route("GET", API + "/nfe/documento/{key}")
    def read_document(self, request: Request) -> Response:
        note = self.notes.get(self.notes_by_key.get(request.args["key"], 0))
        if note is None or request.param("formato", "pdf") != "xml":
            return self.not_found(request)
        packed = base64.b64encode(gzip.compress(note["_xml"], mtime=0)).decode()
        return _data([{"nome": f"{note['chaveAcesso']}.xml", "conteudo": packed}])

    @route("GET", API + "/logisticas/objetos/{id}")
    def read_object(self, request: Request) -> Response:
        found = self.objects.get(int(request.args["id"]))
        return _data(found) if found else self.not_found(request)


_STOCK: dict[str, Callable[[float], bool]] = {
    "0": lambda stock: stock == 0,
    "1": lambda stock: stock > 0,
    "2": lambda stock: stock < 0,
}
_PRODUCTS = {"2": "A", "3": "I", "4": ""}


def _bare(document: str) -> str:
    return "".join(char for char in document.upper() if char.isalnum())


def _data(value: Any, status: int = 200) -> Response:
    return Response(status, {"data": value})


def _page(request: Request, rows: Iterable[Row]) -> Response:
    size = min(int(request.param("limite", "100")), LARGEST_PAGE)
    start = (max(int(request.param("pagina", "1")), 1) - 1) * size
    return _data(list(itertools.islice(rows, start, start + size)))


def _error(status: int, kind: str, description: str, **more: Any) -> Response:
    return Response(status, {"error": {"type": kind, "message": description, "description": description, **more}})


def _oauth_error(status: int, kind: str, message: str) -> Response:
    return Response(status, {"error": {"type": kind, "message": message, "description": message}})


def _limit(limit: int, period: str) -> Response:
    words = {"second": "por segundo", "day": "diário"}[period]
    said = f"O limite de requisições {words} foi atingido, tente novamente mais tarde."
    return _error(429, "TOO_MANY_REQUESTS", said, limit=limit, period=period)


def _invalid(description: str, fields: list[Row]) -> Response:
    return _error(400, "VALIDATION_ERROR", description, fields=fields)


def _field(code: int, message: str, element: str) -> Row:
    return {"code": code, "msg": message, "element": element, "namespace": "VENDAS", "collection": []}


def _parcel_problem(place: int, parcel: Row) -> Row | None:
    form = (parcel.get("formaPagamento") or {}).get("id")
    if form in (PAYMENT_FORM, PAYMENT_FORM + 1):
        return None
    found = _field(12, "Id da forma de pagamento inválido.", "formaPagamento")
    del found["collection"]
    return {"index": place + 1, **found}


def _payment_form(form: int, name: str, kind: int, default: int) -> Row:
    return {
        "id": form,
        "descricao": name,
        "tipoPagamento": kind,
        "situacao": 1,
        "fixa": False,
        "padrao": default,
        "finalidade": 3,
        "juros": 0,
        "multa": 0,
    }


def _contact_row(contact: Row) -> Row:
    kept = ("id", "nome", "codigo", "situacao", "telefone", "celular")
    return {name: contact.get(name, "") for name in kept} | {"numeroDocumento": _masked(contact["numeroDocumento"])}


def _masked(document: str) -> str:
    if len(document) != 11:
        return document
    return f"{document[:3]}.{document[3:6]}.{document[6:9]}-{document[9:]}"


def _order_row(order: Row) -> Row:
    kept = ("id", "numero", "numeroLoja", "data", "dataSaida", "dataPrevista", "totalProdutos", "total", "contato")
    return {name: order.get(name, "0000-00-00") for name in kept} | {
        "situacao": dict(order["situacao"]),
        "loja": dict(order["loja"]),
    }


def _note_row(note: Row) -> Row:
    kept = ("id", "tipo", "situacao", "numero", "dataEmissao", "dataOperacao", "chaveAcesso", "contato", "loja")
    return {name: note[name] for name in kept} | {"naturezaOperacao": note["naturezaOperacao"]}


def _fits(request: Request, order: Row, altered: str) -> bool:
    store, situations = request.param("idLoja"), request.params("idsSituacoes[]")
    return (
        request.param("dataAlteracaoInicial") <= altered <= request.param("dataAlteracaoFinal", "9999")
        and request.param("dataInicial") <= order["data"] <= request.param("dataFinal", "9999")
        and (not store or str(order["loja"]["id"]) == store)
        and (not situations or str(order["situacao"]["id"]) in situations)
    )


def _too_long(request: Request, *names: str) -> Response | None:
    for name in names:
        start, end = request.param(f"{name}Inicial"), request.param(f"{name}Final")
        if start and end and datetime.fromisoformat(end) - datetime.fromisoformat(start) > timedelta(days=366):
            return _error(400, "VALIDATION_ERROR", "O período informado é maior que um ano.")
    return None
