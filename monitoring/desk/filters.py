"""The filters of the list of orders. They combine, live in the address, and values they do not know filter nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from html import escape
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from hub.models import Seller
from hub.tenancy import workers_of
from monitoring import figures
from monitoring.pages import words
from orders import priority
from orders.models import Order, OrderItem, SalesChannel, Shipment
from orders.tags import Tagged
from orders.vocabulary import Logistics, OrderStatus

Choices = Sequence[tuple[str, Any]]
# Paid and not gone: what there is to do.
OPEN = "open"
# Not from the marketplace's own warehouse: what the seller packs.
OWN = "own"
# Not somebody's in particular.
NOBODY = "nobody"
LONGEST = 120
HIGH, MIDDLE = 70, 40
_MASK = str.maketrans("", "", ".-/ ")


class Scope:
    """Whose orders, seen when."""

    def __init__(self, sellers: Sequence[int]) -> None:
        self.sellers = sellers
        self.now = timezone.now()

    @cached_property
    def rows(self) -> list[Seller]:
        return list(Seller.objects.filter(pk__in=self.sellers))

    @cached_property
    def channels(self) -> Choices:
        rows = SalesChannel.objects.filter(seller__in=self.sellers).order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in rows]

    @cached_property
    def people(self) -> Choices:
        return [(str(one.pk), words.person(one)) for one in workers_of(self.sellers).only(*words.NAMED)]

    @cached_property
    def score(self) -> Any:
        return priority.by_score(self.rows, self.now)


@dataclass(frozen=True)
class Filter:
    """`find` gives the condition for a value of the address, or None where it means nothing."""

    name: str
    label: Any
    find: Callable[[str, Scope], Q | None]
    # "select", "date", "number" or "text".
    kind: str = "select"
    choices: Callable[[Scope], Choices] | None = None
    # They are not the same for everybody.
    own_choices: bool = False

    def shown(self, value: str, scope: Scope) -> str:
        """The value in words."""
        if self.choices is not None:
            return str(dict(self.choices(scope)).get(value, value))
        day = parse_day(value) if self.kind == "date" else None
        return date_format(day, "SHORT_DATE_FORMAT") if day else value


# --- What each finds -------------------------------------------------------------------------------------------------


def _status(value: str, scope: Scope) -> Q | None:
    if value == OPEN:
        return Q(status__in=priority.OPEN)
    return Q(status=value) if value in OrderStatus.values else None


def _channel(value: str, scope: Scope) -> Q | None:
    return Q(channel_id=int(value)) if value.isdecimal() and len(value) < 19 else None


def _due(value: str, scope: Scope) -> Q | None:
    now = scope.now
    midnight = _beginning(timezone.localtime(now)) + timedelta(days=1)
    found: dict[str, Callable[[], Q]] = {
        "late": lambda: figures.late(now),
        "risk": lambda: figures.at_risk(now, scope.sellers),
        "today": lambda: Q(status__in=priority.OPEN, ship_by__gte=now, ship_by__lt=midnight),
        "tomorrow": lambda: Q(
            status__in=priority.OPEN, ship_by__gte=midnight, ship_by__lt=midnight + timedelta(days=1)
        ),
        # Of an address of before there was a filter of its own.
        "held": lambda: _is_held(),
    }
    return found[value]() if value in found else None


def _is_held() -> Q:
    return Q(held=True) & ~Q(status=OrderStatus.CANCELLED)


def _held(value: str, scope: Scope) -> Q | None:
    return {"yes": _is_held(), "no": Q(held=False)}.get(value)


def _erp(value: str, scope: Scope) -> Q | None:
    return {"no": figures.not_in_erp(), "yes": Q(exported_at__isnull=False)}.get(value)


def _priority(value: str, scope: Scope) -> Q | None:
    bounds = {"high": (HIGH, None), "middle": (MIDDLE, HIGH), "low": (None, MIDDLE)}
    if value not in bounds:
        return None
    least, below = bounds[value]
    found = Q(status__in=priority.OPEN)
    if least is not None:
        found &= Q(GreaterThanOrEqual(scope.score, float(least)))
    if below is not None:
        found &= Q(LessThan(scope.score, float(below)))
    return found


def _logistics(value: str, scope: Scope) -> Q | None:
    if value == OWN:
        return ~Q(logistics__in=(Logistics.FULFILLED, Logistics.NONE))
    return Q(logistics=value) if value in Logistics.values else None


def _region(value: str, scope: Scope) -> Q | None:
    return Q(state__in=words.REGIONS[value][1]) if value in words.REGIONS else None


def _state(value: str, scope: Scope) -> Q | None:
    return Q(state=value.upper()) if value.upper() in words.STATES else None


def _city(value: str, scope: Scope) -> Q:
    return Q(city__iexact=value)


def _carrier(value: str, scope: Scope) -> Q:
    return Q(Exists(Shipment.objects.filter(order=OuterRef("pk"), carrier=value).exclude(carrier="")))


def _sku(value: str, scope: Scope) -> Q:
    return Q(Exists(OrderItem.objects.filter(order=OuterRef("pk"), sku=value)))


def _tag(value: str, scope: Scope) -> Q:
    return ~Q(tags=[]) & Q(Tagged(value))


def _assignee(value: str, scope: Scope) -> Q | None:
    if value == NOBODY:
        return Q(assignee=None)
    return Q(assignee=int(value)) if value.isdecimal() and len(value) < 10 else None


def _from_day(column: str) -> Callable[[str, Scope], Q | None]:
    def find(value: str, scope: Scope) -> Q | None:
        day = parse_day(value)
        return Q(**{f"{column}__gte": day}) if day else None

    return find


def _to_day(column: str) -> Callable[[str, Scope], Q | None]:
    """The day itself belongs to it."""

    def find(value: str, scope: Scope) -> Q | None:
        day = parse_day(value)
        return Q(**{f"{column}__lt": day + timedelta(days=1)}) if day else None

    return find


def _amount(lookup: str) -> Callable[[str, Scope], Q | None]:
    def find(value: str, scope: Scope) -> Q | None:
        amount = parse_amount(value)
        return None if amount is None else Q(**{f"total__{lookup}": amount})

    return find


def parse_day(text: str) -> datetime | None:
    """The beginning of that day, here."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None


def _beginning(moment: datetime) -> datetime:
    return timezone.make_aware(datetime.combine(moment.date(), time.min))


def parse_amount(text: str) -> Decimal | None:
    """With a point or, as it is written here, a comma before the cents."""
    try:
        amount = Decimal(text.replace(".", "").replace(",", ".") if "," in text else text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < 10**10 else None


def matching(text: str) -> Q:
    """Every word of it, anywhere in the order's numbers, SKUs, buyer's name or document (mask or not).

    `search` is lower-case already, so this is a plain LIKE, which a trigram index answers.
    """
    wanted = text.lower()
    bare = wanted.translate(_MASK)
    every_word = Q()
    for word in wanted.split():
        every_word &= Q(search__contains=word)
    return every_word | Q(search__contains=bare) if bare.isalnum() and bare != wanted and _numeric(bare) else every_word


def _numeric(text: str) -> bool:
    """A document's number: since 2026 a CNPJ has letters too."""
    return sum(char.isdigit() for char in text) >= len(text) / 2


# --- All of them, in the order of the form ---------------------------------------------------------------------------


def _yes_or_no(scope: Scope) -> Choices:
    return (("yes", _("yes")), ("no", _("no")))


DUE = (("late", _("Late")), ("risk", _("At risk")), ("today", _("Until midnight")), ("tomorrow", _("Tomorrow")))
PRIORITIES = (("high", _("High")), ("middle", _("Middle")), ("low", _("Low")))
FILTERS = {
    one.name: one
    for one in (
        Filter("q", _("Search"), lambda value, scope: matching(value), "text"),
        Filter("channel", _("Channel"), _channel, choices=lambda scope: scope.channels, own_choices=True),
        Filter("status", _("Status"), _status, choices=lambda scope: ((OPEN, _("To dispatch")), *OrderStatus.choices)),
        Filter("due", _("Deadline"), _due, choices=lambda scope: DUE),
        Filter("priority", _("Priority"), _priority, choices=lambda scope: PRIORITIES),
        Filter("erp", _("In the ERP"), _erp, choices=_yes_or_no),
        Filter("held", _("Held"), _held, choices=_yes_or_no),
        Filter(
            "logistics",
            _("Logistics"),
            _logistics,
            choices=lambda scope: ((OWN, _("Packed by you")), *Logistics.choices),
        ),
        Filter(
            "region",
            _("Region"),
            _region,
            choices=lambda scope: [(code, label) for code, (label, _all) in words.REGIONS.items()],
        ),
        Filter("state", _("UF"), _state, choices=lambda scope: [(state, state) for state in words.STATES]),
        Filter("city", _("City"), _city, "text"),
        Filter("carrier", _("Carrier"), _carrier, "text"),
        Filter("sku", "SKU", _sku, "text"),
        Filter("tag", _("Tag"), _tag, "text"),
        Filter(
            "assignee",
            _("Responsible"),
            _assignee,
            choices=lambda scope: [(NOBODY, _("nobody")), *scope.people],
            own_choices=True,
        ),
        Filter("since", _("Placed from"), _from_day("placed_at"), "date"),
        Filter("until", _("Placed until"), _to_day("placed_at"), "date"),
        Filter("ship_since", _("Ship by from"), _from_day("ship_by"), "date"),
        Filter("ship_until", _("Ship by until"), _to_day("ship_by"), "date"),
        Filter("least", _("Total from"), _amount("gte"), "number"),
        Filter("most", _("Total up to"), _amount("lte"), "number"),
    )
}
FIRST = "first"
SORTS: Mapping[str, tuple[Any, Sequence[Any]]] = {
    FIRST: (_("What first"), ()),
    "new": (_("Newest first"), ("-placed_at", "-pk")),
    "old": (_("Oldest first"), ("placed_at", "pk")),
    "deadline": (_("Deadline first"), ("ship_by", "pk")),
    "total": (_("Highest total first"), ("-total", "-pk")),
}


def clean(chosen: Mapping[str, str]) -> dict[str, str]:
    """Only the parameters that filter or sort, those that are filled in."""
    values = {name: str(chosen.get(name, "")).strip()[:LONGEST] for name in (*FILTERS, "sort")}
    return {name: value for name, value in values.items() if value and "\x00" not in value}


def sorting(chosen: Mapping[str, str]) -> str:
    """What there is to do is sorted by what comes first, unless somebody chose otherwise."""
    wanted = chosen.get("sort", "")
    if wanted in SORTS:
        return wanted
    return FIRST if chosen.get("status") == OPEN else "new"


def filtered(rows: QuerySet[Order], chosen: Mapping[str, str], scope: Scope) -> QuerySet[Order]:
    """What the address asks for, unsorted."""
    for name, value in clean(chosen).items():
        condition = FILTERS[name].find(value, scope) if name in FILTERS else None
        if condition is not None:
            rows = rows.filter(condition)
    # Only what is open has an order in which to do it.
    return rows.filter(status__in=priority.OPEN) if sorting(chosen) == FIRST else rows


def in_order(rows: QuerySet[Order], chosen: Mapping[str, str], scope: Scope) -> QuerySet[Order]:
    """Sorted as the address asks for."""
    name = sorting(chosen)
    if name == FIRST:
        return rows.order_by(scope.score.desc(), "ship_by", "pk")
    return rows.order_by(*SORTS[name][1])


@dataclass(frozen=True)
class Chip:
    """A filter that is set, and the address without it."""

    label: Any
    value: str
    without: str


def chips(chosen: Mapping[str, str], scope: Scope) -> list[Chip]:
    known = clean(chosen)
    return [
        Chip(FILTERS[name].label, FILTERS[name].shown(value, scope), "?" + urlencode({**_without(known, name)}))
        for name, value in known.items()
        if name in FILTERS and FILTERS[name].find(value, scope) is not None
    ]


def _without(chosen: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in chosen.items() if key != name}


# --- The form, put together here: a template takes many times as long for as many fields ----------------------------


def form(chosen: Mapping[str, str], scope: Scope) -> SafeString:
    """A field for each filter but the search, which stands above them."""
    fields = (_field(one, chosen.get(one.name, ""), scope) for one in FILTERS.values() if one.name != "q")
    return mark_safe("".join(fields))  # noqa: S308 - escaped below


def _field(one: Filter, value: str, scope: Scope) -> str:
    return f'<div><label for="f-{one.name}">{escape(str(one.label))}</label>{_input(one, escape(value), scope)}</div>'


def _input(one: Filter, value: str, scope: Scope) -> str:
    named = f'id="f-{one.name}" name="{one.name}"'
    if one.choices is not None:
        options = _listed(one.choices(scope)) if one.own_choices else _options(one.name, get_language())
        mark = f'<option value="{value}"'
        return f"<select {named}>{options.replace(mark, f'{mark} selected', 1)}</select>"
    if one.kind == "number":
        return f'<input {named} value="{value}" inputmode="decimal" maxlength="14">'
    return f'<input {named} type="{one.kind}" value="{value}" maxlength="{LONGEST}">'


@cache
def _options(name: str, _language: str | None) -> str:
    """Put together once for each language."""
    choices = FILTERS[name].choices
    return _listed(choices(Scope(())) if choices else ())


def _listed(choices: Choices) -> str:
    everyone = [("", _("all")), *choices]
    return "".join(f'<option value="{escape(value)}">{escape(str(label))}</option>' for value, label in everyone)
