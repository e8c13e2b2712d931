"""A Bling account, with the back office behind it: it invoices and ships what it was given.

Built from the documentation of API v3 alone. Real on the wire: paging, PHP-style list filters, parameters that are
ignored when unknown, default filters that hide things, floats for money, Brasília times without a zone, rotating
refresh tokens, codes that work once and take the consent with them, signed webhooks. Two orders may have the same
`numeroLoja`, as in the real one.
"""

import base64
import gzip
import hashlib
import heapq
import hmac
import itertools
import json
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import requests

from connectors.simulation.catalogue import SKUS
from connectors.simulation.server import Request, Response, Simulator, route

API = "/Api/v3"
CLIENT_ID = "sim-bling-client"
CLIENT_SECRET = "sim-bling-secret"
COMPANY_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
COMPANY_CNPJ = "11222333000181"
COMPANY_UF = "35"
BRASILIA = ZoneInfo("America/Sao_Paulo")
TOKEN_SECONDS = 21_600
PER_SECOND, PER_DAY = 3, 120_000
LARGEST_PAGE = 100
OPEN, DONE, CANCELLED = 6, 9, 12
SITUATIONS = {
    6: "Em aberto",
    9: "Atendido",
    12: "Cancelado",
    15: "Em andamento",
    18: "Venda agenciada",
    21: "Em digitação",
    24: "Verificado",
}
CUSTOM_SITUATION, CUSTOM_CANCELLED = 447_110, 447_111
PUSH_TRIES = 3
PAYMENT_FORM = 3_100_001
Row = dict[str, Any]


class BlingSimulator(Simulator):
    """`invoice_after` and `dispatch_after` are seconds after an order's creation at which the back office issues its
    NF-e and posts its parcel; None: never by itself. `limits` enforces the account's limits. `push_url`: where
    webhooks go, '' for none.
    """

    kind = "bling"

    def __init__(
        self,
        *,
        seed: int = 1,
        delay: float = 0.0,
        invoice_after: float | None = None,
        dispatch_after: float | None = None,
        limits: bool = False,
        token_seconds: int = TOKEN_SECONDS,
    ) -> None:
        super().__init__(seed=seed, delay=delay)
        self.invoice_after = invoice_after
        self.dispatch_after = dispatch_after
        self.limits = limits
        self.token_seconds = token_seconds
        self.push_url = ""
        self.environment = 1
        # id -> name and the situation it derives from; 0 for none.
        self.situations = {one: (name, 0) for one, name in SITUATIONS.items()}
        self.situations |= {CUSTOM_SITUATION: ("Faturado", 0), CUSTOM_CANCELLED: ("Cancelado pelo cliente", CANCELLED)}
        self.ids = itertools.count(21_500_000_001)
        self.access: dict[str, float] = {}
        self.refresh = ""
        self.codes: dict[str, bool] = {}
        self.contacts: dict[int, Row] = {}
        self.contacts_by_document: dict[str, list[int]] = {}
        self.products: dict[str, list[Row]] = {}
        self.orders: dict[int, Row] = {}
        self.orders_by_number: dict[str, list[int]] = {}
        # Oldest change first: a list by alteration date is read from its end.
        self.altered: OrderedDict[int, str] = OrderedDict()
        self.notes: dict[int, Row] = {}
        self.notes_by_key: dict[str, int] = {}
        self.notes_by_number: dict[str, list[int]] = {}
        self.objects: dict[int, Row] = {}
        self.due: list[tuple[float, int, str, int]] = []
        self.calls: deque[float] = deque()
        self.calls_today = 0
        self._pushes: queue.Queue[bytes] = queue.Queue()
        self._pusher: threading.Thread | None = None
        self._stock()
        self._grant()

    def _stock(self) -> None:
        for place, (sku, title, price) in enumerate(SKUS):
            self.add_product(sku, title, float(price), stock=50 + place)

    def add_product(self, sku: str, title: str, price: float, *, stock: float = 10, active: bool = True) -> int:
        product = next(self.ids)
        self.products.setdefault(sku, []).append(
            {
                "id": product,
                "idProdutoPai": 0,
                "nome": title,
                "codigo": sku,
                "preco": price,
                "precoCusto": 0,
                "estoque": {"saldoVirtualTotal": stock},
                "tipo": "P",
                "situacao": "A" if active else "I",
                "formato": "S",
                "descricaoCurta": "",
                "imagemURL": "",
            }
        )
        return product

    # What a connection to it stores

    def account_credentials(self) -> dict[str, Any]:
        with self.lock:
            token = next(reversed(self.access))
            left = self.access[token] - time.monotonic()
            return {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "access_token": token,
                "refresh_token": self.refresh,
                "expires_at": (datetime.now(UTC) + timedelta(seconds=left)).isoformat(),
            }

    def account_settings(self) -> dict[str, Any]:
        """Nothing here is late, so a poll need not look far back."""
        return {"overlap_minutes": 1, "invoice_overlap_minutes": 1}

    # Signing in

    def _grant(self) -> Row:
        self.refresh = f"refresh-{next(self.ids)}-{self.random.getrandbits(64):016x}"
        token = f"eyJ.{next(self.ids)}.{self.random.getrandbits(64):016x}"
        self.access[token] = time.monotonic() + self.token_seconds
        return {
            "access_token": token,
            "expires_in": self.token_seconds,
            "token_type": "Bearer",
            "scope": "98309 318257570",
            "refresh_token": self.refresh,
        }

    def consent(self) -> str:
        """The owner clicks "authorise": a code that works once."""
        code = f"code-{next(self.ids)}"
        self.codes[code] = True
        return code

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
        if request.path == API + "/oauth/token":
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
        elif abs(sum(parcel["valor"] for parcel in body["parcelas"]) - _total(body)) >= 0.005:
            problems.append(_field(50, "O somatório das parcelas difere do total da venda.", "parcelas"))
        return problems

    def _new_order(self, order: int, body: Row) -> Row:
        transport = {"volumes": [], "contato": {"id": 0, "nome": ""}, **(body.get("transporte") or {})}
        contact = self.contacts[body["contato"]["id"]]
        return {
            "observacoesInternas": "",
            "intermediador": {"cnpj": "", "nomeUsuario": ""},
            **body,
            "id": order,
            "numero": len(self.orders) + 1,
            "totalProdutos": round(sum(line["quantidade"] * line["valor"] for line in body["itens"]), 2),
            "total": _total(body),
            "contato": {
                "id": contact["id"],
                "nome": contact["nome"],
                "tipoPessoa": contact["tipo"],
                "numeroDocumento": contact["numeroDocumento"],
            },
            "situacao": {"id": (body.get("situacao") or {}).get("id", OPEN), "valor": 0},
            "loja": body.get("loja") or {"id": 0},
            "notaFiscal": {"id": 0},
            "transporte": transport,
        }

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

    def _move(self, order: Row, situation: int) -> None:
        order["situacao"] = {"id": situation, "valor": 1}
        self._changed(order["id"], "updated")

    def _changed(self, order: int, action: str) -> None:
        self.altered[order] = _now()
        self.altered.move_to_end(order)
        row = self.orders[order]
        kept = ("id", "data", "numero", "numeroLoja", "total", "situacao", "loja")
        data = {name: row.get(name) for name in kept} | {"contato": {"id": row["contato"]["id"]}, "vendedor": {"id": 0}}
        self._push(f"order.{action}", data)

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

    # The back office

    def _schedule(self, order: int) -> None:
        now = time.monotonic()
        for action, after in (("invoice", self.invoice_after), ("dispatch", self.dispatch_after)):
            if after is not None:
                heapq.heappush(self.due, (now + after, next(self.ids), action, order))

    def tick(self) -> None:
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _at, _place, action, order = heapq.heappop(self.due)
            row = self.orders.get(order)
            if row is None or row["situacao"]["id"] == CANCELLED:
                continue
            if action == "invoice":
                self.invoice(order)
            else:
                self.dispatch(order)

    def invoice(self, order: int, *, situation: int = 5) -> int:
        """Issues the order's NF-e in this situation (5: authorised); returns its id."""
        with self.lock:
            row = self.orders[order]
            note = next(self.ids)
            number = len(self.notes) + 1
            self.notes[note] = self._note(note, number, row, situation)
            self.notes_by_key[self.notes[note]["chaveAcesso"]] = note
            self.notes_by_number.setdefault(row.get("numeroLoja", ""), []).append(note)
            row["notaFiscal"] = {"id": note}
            self._note_changed(note, "created")
            self._move(row, DONE)
            return note

    def move_note(self, note: int, situation: int) -> None:
        """What happens to it at the tax authority or by hand: 2 cancelled, 4 rejected, 5 authorised, …"""
        with self.lock:
            self.notes[note]["situacao"] = situation
            self._note_changed(note, "updated")

    def _note(self, note: int, number: int, order: Row, situation: int) -> Row:
        moment = datetime.now(BRASILIA)
        first = f"{COMPANY_UF}{moment:%y%m}{COMPANY_CNPJ}55001{number:09d}1{self.random.randrange(10**8):08d}"
        key = f"{first}{_check_digit(first)}"
        return {
            "id": note,
            "tipo": 1,
            "situacao": situation,
            "numero": f"{number:06d}",
            "serie": 1,
            "chaveAcesso": key,
            "dataEmissao": f"{moment:%Y-%m-%d %H:%M:%S}",
            "dataOperacao": f"{moment:%Y-%m-%d %H:%M:%S}",
            "valorNota": order["total"],
            "valorFrete": order["transporte"].get("frete", 0),
            "finalidade": 1,
            "xml": f"https://www.bling.com.br/relatorios/nfe.xml.php?chaveAcesso={key}&signature=exemplo",
            "linkDanfe": "",
            "linkPDF": "",
            "numeroPedidoLoja": order.get("numeroLoja", ""),
            "contato": {"id": order["contato"]["id"], "nome": order["contato"]["nome"]},
            "naturezaOperacao": {"id": 15_100_000_001},
            "loja": order["loja"],
            "transporte": {"fretePorConta": 0, "transportador": {"nome": "", "numeroDocumento": ""}, "volumes": []},
            "_xml": _xml(key, moment, order, self.environment),
        }

    def _note_changed(self, note: int, action: str) -> None:
        kept = ("id", "tipo", "situacao", "numero", "dataEmissao", "dataOperacao", "naturezaOperacao", "loja")
        row = self.notes[note]
        data = {name: row[name] for name in kept} | {"contato": {"id": row["contato"]["id"]}}
        self._push(f"invoice.{action}", data)

    def dispatch(self, order: int, *, situation: int = 0) -> int:
        """Posts the order's parcel; returns the shipping object's id."""
        with self.lock:
            row = self.orders[order]
            parcel = next(self.ids)
            code = f"AA{parcel % 10**9:09d}BR"
            row["transporte"]["volumes"] = [{"id": parcel, "servico": "SEDEX", "codigoRastreamento": code}]
            row["transporte"]["contato"] = {"id": 16_700_000_009, "nome": "Correios"}
            self.objects[parcel] = _object(parcel, row, code, situation)
            self._changed(order, "updated")
            return parcel

    def move_parcel(self, parcel: int, situation: int) -> None:
        with self.lock:
            self.objects[parcel]["rastreamento"].update(situacao=situation, ultimaAlteracao=_now())

    # Webhooks

    def _push(self, event: str, data: Row) -> None:
        if not self.push_url:
            return
        envelope = {
            "eventId": f"01J{next(self.ids)}",
            "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "version": "v1",
            "event": event,
            "companyId": COMPANY_ID,
            "data": data,
        }
        if self._pusher is None:
            self._pusher = threading.Thread(target=self._deliver, daemon=True, name="sim-bling-pushes")
            self._pusher.start()
        self._pushes.put(json.dumps(envelope, ensure_ascii=False).encode())

    def _deliver(self) -> None:
        while True:
            _post(self.push_url, self._pushes.get())

    # Control

    def snapshot(self) -> dict[str, Row]:
        """Bling's order id -> what it became."""
        with self.lock:
            self.tick()
            return {str(one): self._seen(row) for one, row in self.orders.items()}

    def _seen(self, order: Row) -> Row:
        note = self.notes.get(order["notaFiscal"]["id"])
        codes = [volume["codigoRastreamento"] for volume in order["transporte"]["volumes"]]
        quantities: dict[str, float] = {}
        for line in order["itens"]:
            quantities[line["codigo"]] = quantities.get(line["codigo"], 0) + line["quantidade"]
        return {
            "reference": order.get("numeroLoja", ""),
            "hub_key": order["observacoesInternas"],
            "total": order["total"],
            "cancelled": order["situacao"]["id"] == CANCELLED,
            "invoice_key": note["chaveAcesso"] if note and note["situacao"] in (5, 6) else "",
            "dispatched": bool(codes),
            "tracking_code": codes[0] if codes else "",
            "sku_quantities": quantities,
        }

    def sim_snapshot(self, body: Row) -> dict[str, Row]:
        return self.snapshot()

    def sim_push(self, body: Row) -> Row:
        """Where webhooks go from now on."""
        self.push_url = body.get("url", "")
        return {"url": self.push_url}

    def sim_invoice(self, body: Row) -> Row:
        return {"id": self.invoice(int(body["order"]), situation=body.get("situation", 5))}

    def sim_dispatch(self, body: Row) -> Row:
        return {"id": self.dispatch(int(body["order"]), situation=body.get("situation", 0))}

    def sim_tick(self, body: Row) -> Row:
        self.tick()
        return {"waiting": len(self.due)}

    def sim_place(self, body: Row) -> list[str]:
        """An order typed in by hand: none of the hub's."""
        return [str(self.place_by_hand(f"BALCAO-{next(self.ids)}")) for _ in range(body.get("count", 1))]

    def place_by_hand(self, number: str, **changes: Any) -> int:
        """An order that came from elsewhere; `changes` are laid over its body."""
        with self.lock:
            contact = next(iter(self.contacts), 0) or self._first_contact()
            sku, title, price = self.random.choice(SKUS)
            order = next(self.ids)
            line = {"codigo": sku, "descricao": title, "quantidade": 1, "valor": float(price)}
            body = {"numeroLoja": number, "data": _now()[:10], "contato": {"id": contact}, "itens": [line], **changes}
            self.orders[order] = self._new_order(order, body)
            self.orders_by_number.setdefault(number, []).append(order)
            self._changed(order, "created")
            return order

    def _first_contact(self) -> int:
        contact = next(self.ids)
        self.contacts[contact] = {
            "id": contact,
            "nome": "Consumidor Final",
            "codigo": "",
            "situacao": "A",
            "tipo": "F",
            "numeroDocumento": "",
            "telefone": "",
            "celular": "",
        }
        return contact


_STOCK: dict[str, Callable[[float], bool]] = {
    "0": lambda stock: stock == 0,
    "1": lambda stock: stock > 0,
    "2": lambda stock: stock < 0,
}
_PRODUCTS = {"2": "A", "3": "I", "4": ""}


def _now() -> str:
    return f"{datetime.now(BRASILIA):%Y-%m-%d %H:%M:%S}"


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


def _total(body: Row) -> float:
    items = sum(line["quantidade"] * line["valor"] * (1 - line.get("desconto", 0) / 100) for line in body["itens"])
    discount = (body.get("desconto") or {}).get("valor", 0)
    freight = (body.get("transporte") or {}).get("frete", 0)
    return float(round(items - discount + freight + body.get("outrasDespesas", 0), 2))


def _object(parcel: int, order: Row, code: str, situation: int) -> Row:
    return {
        "id": parcel,
        "pedidoVenda": {"id": order["id"]},
        "notaFiscal": {"id": order["notaFiscal"]["id"]},
        "servico": {"id": 17_900_000_001},
        "rastreamento": {
            "codigo": code,
            "descricao": "Objeto postado",
            "situacao": situation,
            "origem": "São Paulo",
            "destino": "",
            "ultimaAlteracao": _now(),
            "url": f"https://rastreamento.exemplo.test/{code}",
        },
        "dataSaida": _now()[:10],
        "prazoEntregaPrevisto": 5,
        "fretePrevisto": 0,
        "valorDeclarado": order["total"],
    }


def _check_digit(first: str) -> int:
    weights = itertools.cycle(range(2, 10))
    rest = sum((ord(char) - 48) * weight for char, weight in zip(reversed(first), weights, strict=False)) % 11
    return 0 if rest < 2 else 11 - rest


def _xml(key: str, moment: datetime, order: Row, environment: int) -> bytes:
    """A small `nfeProc`: what a hub reads of one, and nothing a tax office would miss in a simulation."""
    document = order["contato"]["numeroDocumento"]
    buyer = f"<CPF>{document}</CPF>" if len(document) == 11 else f"<CNPJ>{document}</CNPJ>"
    at = moment.isoformat(timespec="seconds")
    number, series, code = int(key[25:34]), int(key[22:25]), key[35:43]
    lines = "".join(_xml_line(place, line) for place, line in enumerate(order["itens"], start=1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<nfeProc versao="4.00" xmlns="http://www.portalfiscal.inf.br/nfe"><NFe>'
        f'<infNFe versao="4.00" Id="NFe{key}"><ide><cUF>{key[:2]}</cUF><cNF>{code}</cNF>'
        f"<natOp>Venda de mercadoria</natOp><mod>55</mod><serie>{series}</serie><nNF>{number}</nNF>"
        f"<dhEmi>{at}</dhEmi><tpNF>1</tpNF><tpEmis>1</tpEmis><cDV>{key[43]}</cDV><tpAmb>{environment}</tpAmb>"
        "<finNFe>1</finNFe><indFinal>1</indFinal><indPres>2</indPres></ide>"
        f"<emit><CNPJ>{key[6:20]}</CNPJ><xNome>Loja Exemplo Ltda</xNome></emit>"
        f"<dest>{buyer}<xNome>{escape(order['contato']['nome'])}</xNome></dest>{lines}"
        f"<total><ICMSTot><vProd>{order['totalProdutos']:.2f}</vProd><vNF>{order['total']:.2f}</vNF></ICMSTot></total>"
        "</infNFe></NFe>"
        f'<protNFe versao="4.00"><infProt><tpAmb>{environment}</tpAmb><chNFe>{key}</chNFe>'
        f"<dhRecbto>{at}</dhRecbto><nProt>1352600{number:08d}</nProt><cStat>100</cStat>"
        "<xMotivo>Autorizado o uso da NF-e</xMotivo></infProt></protNFe></nfeProc>"
    ).encode()


def _xml_line(place: int, line: Row) -> str:
    return (
        f'<det nItem="{place}"><prod><cProd>{escape(line["codigo"])}</cProd><cEAN>SEM GTIN</cEAN>'
        f"<xProd>{escape(line['descricao'])}</xProd><qCom>{line['quantidade']:.4f}</qCom>"
        f"<vUnCom>{line['valor']:.4f}</vUnCom><vProd>{line['quantidade'] * line['valor']:.2f}</vProd></prod></det>"
    )


def _post(url: str, body: bytes) -> None:
    """Three tries; the real one goes on for days and then switches the webhook off."""
    signature = hmac.new(CLIENT_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Bling-Signature-256": f"sha256={signature}"}
    for attempt in range(PUSH_TRIES):
        try:
            if requests.post(url, data=body, headers=headers, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2 * 2**attempt)
