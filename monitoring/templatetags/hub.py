"""How values look on a page."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django import template
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from connectors.models import Exchange, Job
from hub.people import sight
from hub.tenancy import Permission
from monitoring.incidents import remedies
from monitoring.pages import words

register = template.Library()


@register.simple_tag
def chip(text: Any, tone: str = "grey") -> SafeString:
    return format_html('<span class="e-chip e-{}">{}</span>', tone or "grey", text)


@register.filter
def tone(code: str) -> str:
    return words.TONES.get(code, "grey")


@register.filter
def operation(code: str) -> str:
    return words.operation(code)


@register.filter
def correction(job: Job) -> str:
    return remedies.correction(job)


@register.filter
def category(code: str) -> str:
    return words.category(code)


@register.filter
def person(user: Any) -> str:
    return words.person(user)


@register.filter
def hold(code: str) -> str:
    return words.hold(code)


@register.filter
def stored(text: str) -> str:
    return words.stored(text)


@register.filter
def service(kind: str) -> str:
    return words.service_label(kind)


@register.filter
def payment(method: str) -> str:
    return words.payment(method)


@register.filter
def came_by(source: str) -> str:
    return str(words.SOURCES.get(source, source))


@register.filter
def ago(at: datetime | None) -> SafeString:
    """How long ago, with the exact time under the pointer."""
    if at is None:
        return format_html("<span>{}</span>", words.ago(None))
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), words.ago(at))


@register.filter
def soon(at: datetime) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), words.soon(at))


@register.filter
def exact(at: datetime | None) -> str:
    """Date and time here. A filter of Django's that is called by hand does not change the zone by itself."""
    if at is None:
        return ""
    here, pattern = timezone.localtime(at), _pattern(get_language())
    return here.strftime(pattern) if pattern else str(formats.date_format(here, "SHORT_DATETIME_FORMAT"))


# Django's letters that Python has, too.
_LETTERS = {"d": "%d", "m": "%m", "Y": "%Y", "H": "%H", "i": "%M"}


@cache
def _pattern(_language: str | None) -> str:
    """The language's short form of a moment as Python writes it, many times as fast; empty where it cannot."""
    wanted = formats.get_format("SHORT_DATETIME_FORMAT")
    known = all(letter in _LETTERS or not letter.isalpha() for letter in wanted)
    return "".join(_LETTERS.get(letter, letter) for letter in wanted) if known else ""


@register.filter
def shown_calls(calls: Sequence[Exchange]) -> Sequence[Exchange]:
    """The newest of many equal ones: the others say the same."""
    return calls[-10:]


@register.filter
def span(delta: Any) -> str:
    return words.span(delta)


@register.filter
def money(amount: Decimal | None, currency: str = "BRL") -> str:
    """With its currency and two places; more only where the amount has more. Dots for whom it is hidden from."""
    if amount is None:
        return ""
    if sight.hides(Permission.MONEY):
        return "•••"
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    number = formats.number_format(abs(amount), decimal_pos=places, use_l10n=True, force_grouping=True)
    sign = "R$" if currency == "BRL" else currency
    return f"{'−' if amount < 0 else ''}{sign}\u00a0{number}"


@register.filter
def percent(share: float | None) -> str:
    """0 to 1 as per cent, with a decimal where it would round to a wrong 100 %."""
    if share is None:
        return ""
    places = 0 if share in (0, 1) or 0.01 < share < 0.99 else 1
    return f"{formats.number_format(min(share * 100, 99.9) if share < 1 else 100, decimal_pos=places)} %"


@register.filter
def quantity(amount: Decimal | None) -> str:
    if amount is None:
        return ""
    places = max(0, -int(amount.normalize().as_tuple().exponent))
    return formats.number_format(amount, decimal_pos=places)


@register.filter
def document(value: str) -> str:
    """CPF or CNPJ with its mask."""
    if len(value) == 11 and value.isdigit():
        return f"{value[:3]}.{value[3:6]}.{value[6:9]}-{value[9:]}"
    if len(value) == 14:
        return f"{value[:2]}.{value[2:5]}.{value[5:8]}/{value[8:12]}-{value[12:]}"
    return value


@register.filter
def postal_code(value: str) -> str:
    return f"{value[:5]}-{value[5:]}" if len(value) == 8 and value.isdigit() else value


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: Any) -> str:
    """The page's own address with these parameters changed; an empty value takes one away."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value not in ("", None):
            query[name] = value
    return f"?{query.urlencode()}"
