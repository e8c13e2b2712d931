"""Fills an empty Tryton 7.0 database with a small Brazilian shop. Runs under the server's own Python, not ours.

    <server's python> tryton_database.py <config file> <database> <products as JSON> <login> <password>

`products` is a list of [sku, title, price]. Steps: fact sheet of Tryton, section 1.
"""

import json
import sys
from datetime import date
from decimal import Decimal
from typing import Any

from proteus import Model, config  # type: ignore[import-not-found]
from trytond.modules.account.tests.tools import (  # type: ignore[import-not-found]
    create_chart,
    create_fiscalyear,
    get_accounts,
)
from trytond.modules.account_invoice.tests.tools import (  # type: ignore[import-not-found]
    set_fiscalyear_invoice_sequences,
)
from trytond.modules.company.tests.tools import create_company, get_company  # type: ignore[import-not-found]

GROUPS = (
    "Account",
    "Accounting Party",
    "Party Administration",
    "Product Administration",
    "Sales",
    "Sales Administrator",
    "Stock",
    "Stock Administration",
    "Stock Force Assignment",
)
SERVICES = (
    ("FRETE", "Frete"),
    ("JUROS", "Juros"),
    ("OUTROS", "Outras despesas"),
    ("DESCONTO", "Descontos e acertos"),
)
OPENING_STOCK = 100_000.0


def currency() -> Any:
    real = Model.get("currency.currency")(name="Real", code="BRL", symbol="R$", rounding=Decimal("0.01"), digits=2)
    real.rates.new(date=date(date.today().year, 1, 1), rate=Decimal(1))  # noqa: DTZ011 - the server's own day
    real.save()
    return real


def country() -> None:
    brazil = Model.get("country.country")(name="Brasil", code="BR", code3="BRA")
    brazil.save()
    subdivision = Model.get("country.subdivision")
    for code, name in (("SP", "São Paulo"), ("MG", "Minas Gerais"), ("RJ", "Rio de Janeiro"), ("BA", "Bahia")):
        subdivision(name=name, code=f"BR-{code}", type="state", country=brazil).save()


def company(money: Any) -> Any:
    party = Model.get("party.party")(name="Loja Exemplo Ltda")
    party.save()
    create_company(party, money)
    return get_company()


def accounting(shop: Any) -> Any:
    create_chart(shop)
    set_fiscalyear_invoice_sequences(create_fiscalyear(shop)).click("create_period")
    accounts = get_accounts(shop)
    category = Model.get("product.category")(name="Mercadorias", accounting=True)
    category.account_revenue = accounts["revenue"]
    category.account_expense = accounts["expense"]
    category.save()
    term = Model.get("account.invoice.payment_term")(name="Marketplace")
    term.lines.new(type="remainder")
    term.save()
    return category


def product(category: Any, kind: str, sku: str, title: str, price: str) -> Any:
    (unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
    template = Model.get("product.template")(name=title, type=kind, default_uom=unit, salable=True)
    template.list_price = Decimal(price)
    template.account_category = category
    template.products[0].suffix_code = sku
    template.save()
    return template.products[0]


def stock(goods: list[Any]) -> None:
    (storage,) = Model.get("stock.location").find([("code", "=", "STO")])
    inventory = Model.get("stock.inventory")(location=storage)
    for one in goods:
        inventory.lines.new(product=one, quantity=OPENING_STOCK, expected_quantity=0.0)
    inventory.click("confirm")


def carriers(category: Any) -> None:
    (freight,) = Model.get("product.product").find([("code", "=", "FRETE")])
    for name in ("Correios", "Transportadora Exemplo"):
        party = Model.get("party.party")(name=name)
        party.save()
        Model.get("carrier")(party=party, carrier_product=freight).save()


def user(shop: Any, login: str, password: str) -> None:
    account = Model.get("res.user")(name="Entreposto", login=login, password=password)
    for group in Model.get("res.group").find([("name", "in", GROUPS)]):
        account.groups.append(group)
    account.companies.append(shop)
    account.save()
    account.company = Model.get("company.company")(shop.id)
    account.save()


def main(conf: str, database: str, products: str, login: str, password: str) -> None:
    config.set_trytond(database, config_file=conf)
    money = currency()
    country()
    shop = company(money)
    category = accounting(shop)
    goods = [product(category, "goods", *row) for row in json.loads(products)]
    for sku, title in SERVICES:
        product(category, "service", sku, title, "0")
    stock(goods)
    carriers(category)
    user(shop, login, password)


if __name__ == "__main__":
    main(*sys.argv[1:])
