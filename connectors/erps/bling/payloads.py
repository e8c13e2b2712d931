"""Canonical order -> what Bling wants to read. Pure. Money becomes floats of two decimals: Bling's JSON has no more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.contract import Reference
from connectors.failures import Refusal
from connectors.reading import digits, document_number
from orders.documents import Address, Item, OrderDocument

BRASILIA = ZoneInfo("America/Sao_Paulo")
CENT = Decimal("0.01")
_PERSON, _COMPANY = 11, 14
_TAXPAYER, _NOT_A_TAXPAYER = 1, 9


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def buyer_document(order: OrderDocument) -> str:
    """CPF or CNPJ of the buyer without its mask; a Refusal where there is none that could be invoiced."""
    number = document_number(order.buyer.document)
    if len(number) not in (_PERSON, _COMPANY):
        raise Refusal(
            "Bling invoices only with the buyer's CPF or CNPJ, and this order has none.", path="$.buyer.document"
        )
    return number


def contact(order: OrderDocument) -> dict[str, Any]:
    """The body of a contact. Bling prints the NF-e's recipient from here, not from the order."""
    number = buyer_document(order)
    buyer = order.buyer
    where = order.bill_to or order.ship_to
    name = buyer.name or (where.recipient if where else "")
    if not name:
        raise Refusal("Bling needs the buyer's name.", path="$.buyer.name")
    registered = bool(buyer.state_registration) and len(number) == _COMPANY
    body: dict[str, Any] = {
        "nome": name[:120],
        "situacao": "A",
        "tipo": "F" if len(number) == _PERSON else "J",
        "numeroDocumento": number,
        "indicadorIe": _TAXPAYER if registered else _NOT_A_TAXPAYER,
    }
    if registered:
        body["ie"] = buyer.state_registration
    if buyer.email:
        body["email"] = buyer.email
    if buyer.phone:
        body["celular"] = buyer.phone
    if where:
        body["endereco"] = {"geral": _address(where)}
    return body


def _address(where: Address) -> dict[str, str]:
    return {
        "endereco": where.street,
        "numero": where.number,
        "complemento": where.complement,
        "bairro": where.district,
        "cep": digits(where.postal_code),
        "municipio": where.city,
        "uf": where.state.upper(),
    }


def refreshed_contact(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The whole contact with what this order says laid over it; None where it says nothing new.

    Bling replaces a contact as a whole, so what the order does not know is sent back as it was.
    """
    merged = dict(held)
    news = {name: value for name, value in wanted.items() if name not in ("situacao", "endereco")}
    merged.update(news)
    if address := wanted.get("endereco"):
        kept = held.get("endereco")
        merged["endereco"] = {**(kept if isinstance(kept, dict) else {}), **address}
    if all(_same(held.get(name), value) for name, value in merged.items()):
        return None
    return merged


def _same(held: Any, wanted: Any) -> bool:
    """Bling masks documents, postal codes and phones as it likes: only what is between the marks counts."""
    if isinstance(wanted, dict):
        return isinstance(held, dict) and all(_same(held.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, str):
        return _bare(held or "") == _bare(wanted)
    return bool(held == wanted)


def _bare(value: Any) -> str:
    return "".join(char for char in str(value).casefold() if char.isalnum())


@dataclass(frozen=True)
class Amounts:
    """What Bling adds up: items - discount + freight + other = total, each a whole number of cents."""

    items: Decimal
    discount: Decimal
    freight: Decimal
    other: Decimal

    @property
    def total(self) -> Decimal:
        return self.items - self.discount + self.freight + self.other


def amounts(order: OrderDocument) -> Amounts:
    """Of the order's lines as they are. A marketplace's subsidy is the seller's money and stays in the total.

    A unit price finer than a cent cannot be sent; the difference goes to the surcharges or the discount.
    """
    exact = cents(sum((item.quantity * item.unit_price for item in order.items), Decimal(0)))
    sent = cents(sum((item.quantity * cents(item.unit_price) for item in order.items), Decimal(0)))
    rounding = exact - sent
    totals = order.totals
    found = Amounts(
        items=sent,
        discount=cents(totals.discount) + max(-rounding, Decimal(0)),
        freight=cents(totals.freight),
        other=cents(totals.interest + totals.other) + max(rounding, Decimal(0)),
    )
    if found.total < 0:
        raise Refusal(f"The order's total would be {found.total}: its discount exceeds it.", path="$.totals")
    return found


def sale(
    order: OrderDocument,
    reference: Reference,
    settings: Mapping[str, Any],
    *,
    contact_id: int,
    products: Mapping[str, int],
    payment_form: int,
) -> dict[str, Any]:
    """The body of a sales order."""
    money = amounts(order)
    body: dict[str, Any] = {
        "numeroLoja": reference.number,
        "data": _day(order.placed_at),
        "dataSaida": _day(order.ship_by or order.placed_at),
        "dataPrevista": _day(order.deliver_by or order.ship_by or order.placed_at),
        "contato": {"id": contact_id},
        "itens": [_line(item, products[item.sku]) for item in order.items],
        "desconto": {"valor": float(money.discount), "unidade": "REAL"},
        "outrasDespesas": float(money.other),
        "transporte": _transport(order, money, settings),
        "parcelas": [
            {
                # The vendor's description requires it, and says that it is ignored here.
                "id": 0,
                "dataVencimento": _day(order.placed_at + timedelta(days=whole(settings, "due_days"))),
                "valor": float(money.total),
                "formaPagamento": {"id": payment_form},
            }
        ],
        # The only field that can carry a key which is unique in the hub: two channels may use one number.
        "observacoesInternas": reference.hub_key,
    }
    return body | _chosen(order, reference, settings)


def _chosen(order: OrderDocument, reference: Reference, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What depends on the account's settings or on what the buyer wrote."""
    extra: dict[str, Any] = {}
    if store := store_of(settings, reference.channel):
        extra["loja"] = {"id": store}
    if situation := whole(settings, "situation"):
        extra["situacao"] = {"id": situation}
    if broker := _table(settings, "intermediaries").get(str(reference.channel)):
        extra["intermediador"] = {
            "cnpj": document_number(str(broker.get("cnpj", ""))),
            "nomeUsuario": str(broker.get("user", "")),
        }
    if order.notes:
        extra["observacoes"] = order.notes
    return extra


def _line(item: Item, product: int) -> dict[str, Any]:
    price = float(cents(item.unit_price))
    return {
        "codigo": item.sku,
        "descricao": item.title or item.sku,
        "unidade": "UN",
        "quantidade": float(item.quantity),
        "valor": price,
        # Required by the vendor's description, which says nothing more of it: without discount it is the same price.
        "valorLista": price,
        "desconto": 0,
        "produto": {"id": product},
    }


def _transport(order: OrderDocument, money: Amounts, settings: Mapping[str, Any]) -> dict[str, Any]:
    transport: dict[str, Any] = {"fretePorConta": whole(settings, "freight_by"), "frete": float(money.freight)}
    if where := order.ship_to:
        transport["etiqueta"] = {"nome": where.recipient or order.buyer.name, **_address(where)}
    return transport


def _day(moment: datetime) -> str:
    return moment.astimezone(BRASILIA).date().isoformat()


def whole(settings: Mapping[str, Any], name: str) -> int:
    """A setting that is a whole number; 0 where it is not set. A Refusal where it is something else."""
    value = settings.get(name)
    if value in (None, ""):
        return 0
    try:
        return int(str(value))
    except ValueError:
        raise Refusal(f"is no whole number: {value!r:.40}", path=f"$.settings.{name}") from None


def store_of(settings: Mapping[str, Any], channel: int) -> int:
    """Bling's id of the sales channel ("loja") that `settings["stores"]` gives to a channel of the hub; or 0."""
    return whole(_table(settings, "stores"), str(channel))


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = settings.get(name)
    return value if isinstance(value, Mapping) else {}
