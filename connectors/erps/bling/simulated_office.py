"""The office behind the simulated Bling: it keeps what it is given, invoices it, posts it, and tells who listens.

Its endpoints are in `simulator`, its papers in `simulated_papers`.
"""

import hashlib
import heapq
import hmac
import itertools
import json
import time
from collections import OrderedDict, deque
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.erps.bling.simulated_papers import Row, brasilia_now, nfe, shipping_object, total
from connectors.simulation.catalogue import SKUS
from connectors.simulation.pushes import Pusher, post
from connectors.simulation.server import Simulator

CLIENT_ID = "sim-bling-client"
CLIENT_SECRET = "sim-bling-secret"
COMPANY_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
TOKEN_SECONDS = 21_600
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


class BlingOffice(Simulator):
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
        # Registered with the application, so no call names it.
        self.redirect_uri = ""
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
        self.pusher = Pusher(self.kind, self._deliver)
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

    # Orders

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
            "total": total(body),
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

    def _move(self, order: Row, situation: int) -> None:
        order["situacao"] = {"id": situation, "valor": 1}
        self._changed(order["id"], "updated")

    def _changed(self, order: int, action: str) -> None:
        self.altered[order] = brasilia_now()
        self.altered.move_to_end(order)
        row = self.orders[order]
        kept = ("id", "data", "numero", "numeroLoja", "total", "situacao", "loja")
        data = {name: row.get(name) for name in kept} | {"contato": {"id": row["contato"]["id"]}, "vendedor": {"id": 0}}
        self._push(f"order.{action}", data)

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
            self.notes[note] = nfe(
                note, number, row, situation, environment=self.environment, code=self.random.randrange(10**8)
            )
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
            self.objects[parcel] = shipping_object(parcel, row, code, situation)
            self._changed(order, "updated")
            return parcel

    # Webhooks

    def _push(self, event: str, data: Row) -> None:
        if self.push_url:
            envelope = {
                "eventId": f"01J{next(self.ids)}",
                "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "version": "v1",
                "event": event,
                "companyId": COMPANY_ID,
                "data": data,
            }
            self.pusher.give(json.dumps(envelope, ensure_ascii=False).encode())

    def _deliver(self, body: bytes) -> None:
        """The real one goes on for days and then switches the webhook off."""
        signature = hmac.new(CLIENT_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Bling-Signature-256": f"sha256={signature}"}
        post(self.push_url, lambda _attempt: body, headers)

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
            body = {
                "numeroLoja": number,
                "data": brasilia_now()[:10],
                "contato": {"id": contact},
                "itens": [line],
                **changes,
            }
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
