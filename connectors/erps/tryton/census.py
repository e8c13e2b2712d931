"""Every sale dated or written in a window, two hundred a call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from connectors.contract import ErpOrder, Window
from connectors.erps.tryton.mapping import erp_order
from connectors.reading import Reader

FIELDS = [
    "number", "reference", "comment", "state", "invoice_state", "shipment_state", "total_amount", "invoices.state",
    "shipments.state", "sale_date", "create_date", "party.name",
]  # fmt: skip


def domain(window: Window, after: int) -> list[Any]:
    """The rows after this id."""
    written = [["create_date", ">=", window.since], ["create_date", "<", window.until]]
    dated = [["sale_date", ">=", window.since.date()], ["sale_date", "<=", window.until.date()]]
    return [["id", ">", after], ["OR", written, dated]]


def listed(rows: Sequence[Any]) -> list[ErpOrder]:
    return [_listed(Reader(row)) for row in rows]


def _listed(sale: Reader) -> ErpOrder:
    return replace(
        erp_order(sale),
        buyer=sale.maybe("party").text("name", ""),
        dated=day.date() if (day := sale.day("sale_date", zone="UTC")) else None,
        created_at=sale.moment("create_date", None),
    )
