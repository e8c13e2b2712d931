"""Every order dated in a window, a hundred a call. A row holds no notes, so that the hub's key is not in it."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from connectors.contract import ErpOrder, Window
from connectors.erps.bling.mapping import ZONE
from connectors.erps.bling.payloads import BRASILIA
from connectors.reading import Reader, document_number


def query(window: Window, page: int, size: int) -> list[tuple[str, str]]:
    """By the order's own date, which the hub sets to the day of the sale."""
    last = window.until - timedelta(microseconds=1)
    return [
        ("dataInicial", _day(window.since)),
        ("dataFinal", _day(last)),
        ("pagina", str(page)),
        ("limite", str(size)),
    ]


def _day(moment: datetime) -> str:
    return moment.astimezone(BRASILIA).strftime("%Y-%m-%d")


def listed(row: Reader, meaning: Callable[[str], str]) -> ErpOrder:
    situation = row.text("situacao.id", "")
    return ErpOrder(
        external_id=row.text("id"),
        number=row.text("numero", ""),
        reference=row.text("numeroLoja", ""),
        cancelled=meaning(situation) == "cancelled",
        total=row.number("total") if row.has("total") else None,
        raw_status=situation,
        buyer=row.text("contato.nome", ""),
        document=document_number(row.text("contato.numeroDocumento", "")),
        dated=_dated(row),
    )


def _dated(row: Reader) -> date | None:
    moment = row.day("data", zone=ZONE)
    return moment.astimezone(BRASILIA).date() if moment else None
