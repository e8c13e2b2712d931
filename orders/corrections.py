"""What people corrected of an order, laid over what the channel and the ERP say. No database.

`Order.corrections` has, under "buyer.document", "ship_to.city" or "parcel:7.carrier", a person's word and `was`, what
the source says. The order's own columns hold the corrected value, so that all who read them get it; a later document
of the source changes `was` alone.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from django.utils.translation import gettext_lazy as _

from orders.documents import Address, Buyer, OrderDocument

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

LABELS: "Mapping[str, str | StrPromise]" = {
    "name": _("Name"),
    "document": "CPF/CNPJ",
    "state_registration": _("State registration"),
    "recipient": _("Recipient"),
    "street": _("Street"),
    "number": _("Number"),
    "complement": _("Complement"),
    "district": _("District"),
    "city": _("City"),
    "state": "UF",
    "postal_code": "CEP",
    "carrier": _("Carrier"),
    "tracking_code": _("Tracking code"),
}


class Correction(TypedDict):
    value: str
    was: str
    by: str
    at: str


Corrections = dict[str, Correction]
PEOPLE: Mapping[str, type[Buyer | Address]] = {"buyer": Buyer, "ship_to": Address, "bill_to": Address}


def corrected(said: Mapping[str, Any], part: str, corrections: Corrections) -> dict[str, Any]:
    """The part as its source says it, with what was corrected laid over it."""
    return {**said, **{path.removeprefix(f"{part}."): corrections[path]["value"] for path in _of(part, corrections)}}


def given(
    corrections: Corrections, part: str, shown: Mapping[str, Any], changes: Mapping[str, str], by: str, at: datetime
) -> Corrections:
    """With a person's `changes` of what the part shows now. Saying what the source says takes a correction back."""
    news = dict(corrections)
    for name, value in changes.items():
        held = news.pop(f"{part}.{name}", None)
        was = held["was"] if held else str(shown.get(name, ""))
        if value != was:
            news[f"{part}.{name}"] = Correction(value=value, was=was, by=by, at=at.isoformat())
    return news


def followed(corrections: Corrections, part: str, said: Mapping[str, Any]) -> Corrections:
    """The source has spoken again. Also where it says now what the person said the correction stays: which document
    comes last may not decide what the order becomes."""
    news = dict(corrections)
    for path in _of(part, corrections):
        was = said.get(path.removeprefix(f"{part}."), corrections[path]["was"])
        news[path] = {**corrections[path], "was": str(was)}
    return news


def of_document(document: OrderDocument, corrections: Corrections) -> tuple[OrderDocument, Corrections]:
    """The channel's document as the order shows it, and the corrections as they are after it."""
    parts: dict[str, Buyer | Address] = {}
    for part, kind in PEOPLE.items():
        if _of(part, corrections):
            values = (getattr(document, part) or kind()).model_dump()
            parts[part] = kind(**corrected(values, part, corrections))
            corrections = followed(corrections, part, values)
    return (document.model_copy(update=parts) if parts else document), corrections


def parcel(pk: int) -> str:
    """The part that a parcel is."""
    return f"parcel:{pk}"


def other_words(before: Corrections, after: Corrections) -> list[str]:
    """Names of what the source says otherwise than before, and which stays as it was corrected."""
    changed = [path for path, one in after.items() if one["was"] not in (before[path]["was"], one["value"])]
    return [name for name in dict.fromkeys(path.rpartition(".")[2] for path in changed) if name in LABELS]


def _of(part: str, corrections: Corrections) -> list[str]:
    return [path for path in corrections if path.startswith(f"{part}.")]
