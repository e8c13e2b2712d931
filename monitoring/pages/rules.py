"""The rules by which orders are sorted, tagged, held and given to people: see `orders.rules`."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hub.models import Seller
from hub.tenancy import Permission, workers_of
from monitoring.desk.bulk import tag_problem
from monitoring.desk.filters import parse_amount
from monitoring.pages import words
from monitoring.pages.shell import action, form_page, log, must_act, one, page, seller_to_set, sellers_allowing, show
from monitoring.templatetags.hub import money
from orders import tags
from orders.models import Order, Rule, SalesChannel
from orders.rules import COMPANY, matches
from orders.vocabulary import Logistics

# Each is asked of each new document.
MOST_RULES = 50
# A rule is tried on the newest of the seller's orders.
TRIED = 500
SHOWN = 10
LONGEST_LIST = 100
BOOSTS: Mapping[int, Any] = {
    100: gettext_lazy("Before all others"),
    30: gettext_lazy("Sooner"),
    -30: gettext_lazy("Later"),
}
BUYERS: Mapping[str, Any] = {"person": gettext_lazy("A person (CPF)"), COMPANY: gettext_lazy("A company (CNPJ)")}


# --- The list ---------------------------------------------------------------------------------------------------------


@page
def rules(request: HttpRequest) -> HttpResponse:
    sellers = sellers_allowing(request)
    can_set = {seller.pk for seller in sellers_allowing(request, Permission.SETTINGS)}
    found = Rule.objects.filter(seller__in=sellers).select_related("seller", "assignee")
    by_seller: dict[int, list[Any]] = {seller.pk: [] for seller in sellers}
    names = _channel_names(sellers)
    for rule in found.in_force():
        by_seller[rule.seller_id].append((rule, whens(rule, names), thens(rule)))
    return show(
        request,
        "rules.html",
        _("Rules"),
        groups=[(seller, by_seller[seller.pk], seller.pk in can_set) for seller in sellers],
    )


def _channel_names(sellers: Sequence[Seller]) -> dict[int, str]:
    return dict(SalesChannel.objects.filter(seller__in=sellers).values_list("pk", "name"))


def whens(rule: Rule, channels: Mapping[int, str]) -> list[str]:
    """Its conditions in words."""
    return [str(CONDITIONS[name](wanted, channels)) for name, wanted in rule.when.items() if name in CONDITIONS]


def _any(values: Sequence[Any]) -> str:
    """ "a, b or c"."""
    said = [str(value) for value in values]
    return _(" or ").join(part for part in (", ".join(said[:-1]), said[-1]) if part) if said else ""


def _from(wanted: list[int], channels: Mapping[int, str]) -> str:
    return _("from %(values)s") % {"values": _any([channels.get(pk, "?") for pk in wanted])}


# Of each condition, the sentence; its names are those of `orders.rules.CONDITIONS`.
CONDITIONS: Mapping[str, Callable[[Any, Mapping[int, str]], str]] = {
    "channels": _from,
    "logistics": lambda wanted, channels: _any([Logistics(one).label for one in wanted if one in Logistics.values]),
    "states": lambda wanted, channels: _("to %(values)s") % {"values": _any(wanted)},
    "postal_codes": lambda wanted, channels: _("CEP begins with %(values)s") % {"values": _any(wanted)},
    "least": lambda wanted, channels: _("total from %(amount)s") % {"amount": money(Decimal(wanted))},
    "most": lambda wanted, channels: _("total up to %(amount)s") % {"amount": money(Decimal(wanted))},
    "skus": lambda wanted, channels: _("with SKU %(values)s") % {"values": _any(wanted)},
    "pieces": lambda wanted, channels: (
        ngettext("%(count)s piece or more", "%(count)s pieces or more", wanted) % {"count": wanted}
    ),
    "buyer": lambda wanted, channels: str(BUYERS.get(wanted, wanted)),
    "tags": lambda wanted, channels: _("tagged %(values)s") % {"values": _any([tags.label(one) for one in wanted])},
}


def thens(rule: Rule) -> list[str]:
    """What it does, in words."""
    found = [_("tag %(tag)s") % {"tag": tag} for tag in rule.tags]
    if rule.boost:
        found.append(str(BOOSTS.get(rule.boost, f"{rule.boost:+d}")))
    if rule.assignee:
        found.append(_("%(name)s sees to it") % {"name": words.person(rule.assignee)})
    if rule.hold:
        found.append(_("hold: %(reason)s") % {"reason": rule.reason} if rule.reason else _("hold"))
    return found


# --- The form ---------------------------------------------------------------------------------------------------------


class Listed(forms.CharField):
    """Values separated by commas, each cleaned by `each`."""

    def __init__(self, *args: Any, each: Callable[[str], str] = str, **options: Any) -> None:
        super().__init__(*args, required=False, max_length=2000, **options)
        self.each = each

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        parts = [" ".join(part.split()) for part in str(super().clean(value)).split(",")]
        found = list(dict.fromkeys(self.each(part) for part in parts if part))
        if len(found) > LONGEST_LIST:
            raise forms.ValidationError(_("At most %(count)s.") % {"count": LONGEST_LIST})
        return found


def _state(text: str) -> str:
    if text.upper() not in words.STATES:
        raise forms.ValidationError(_("%(text)s is no UF.") % {"text": text})
    return text.upper()


def _postal_code(text: str) -> str:
    digits = text.replace("-", "").replace(".", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 8):
        raise forms.ValidationError(_("%(text)s is no beginning of a CEP.") % {"text": text})
    return digits


def _tag(text: str) -> str:
    if problem := tag_problem(text):
        raise forms.ValidationError(problem)
    return text


class Amount(forms.CharField):
    """As it is written here; kept as text with a point."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=14, widget=forms.TextInput({"inputmode": "decimal"}), **options)

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        amount = parse_amount(text) if text else None
        if text and amount is None:
            raise forms.ValidationError(_("Type an amount, as in 99,90."))
        return str(amount) if text else ""


class Person(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return words.person(obj)


# Field -> condition of `orders.rules`, in the order of the form.
WHEN = {
    "channels": "channels", "logistics": "logistics", "states": "states", "postal_codes": "postal_codes",
    "least": "least", "most": "most", "skus": "skus", "pieces": "pieces", "buyer": "buyer", "if_tagged": "tags",
}  # fmt: skip
THEN = ("tags", "boost", "assignee", "hold", "reason")


class RuleForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    channels = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Channel"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    logistics = forms.MultipleChoiceField(
        label=gettext_lazy("Logistics"),
        choices=Logistics.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    states = Listed(label=gettext_lazy("UF"), each=_state, help_text=gettext_lazy("As in SP, RJ"))
    postal_codes = Listed(
        label=gettext_lazy("CEP begins with"), each=_postal_code, help_text=gettext_lazy("As in 01, 04538")
    )
    least = Amount(label=gettext_lazy("Total from"))
    most = Amount(label=gettext_lazy("Total up to"))
    skus = Listed(label="SKU", help_text=gettext_lazy("One of these. CAF-* stands for all that begin so."))
    pieces = forms.IntegerField(
        label=gettext_lazy("Pieces, at least"), required=False, min_value=1, max_value=1_000_000
    )
    buyer = forms.ChoiceField(
        label=gettext_lazy("Buyer"), choices=[("", gettext_lazy("all")), *BUYERS.items()], required=False
    )
    if_tagged = Listed(label=gettext_lazy("Tag"), help_text=gettext_lazy("One of these, the channel's too."))

    tags = Listed(label=gettext_lazy("Add a tag"), each=_tag)
    boost = forms.TypedChoiceField(
        label=gettext_lazy("Priority"),
        choices=[(0, gettext_lazy("as it is")), *BOOSTS.items()],
        coerce=int,
    )
    assignee = Person(
        User.objects.none(),
        label=gettext_lazy("Responsible"),
        required=False,
        empty_label=gettext_lazy("as it is"),
        help_text=gettext_lazy("Where nobody sees to it yet."),
    )
    hold = forms.BooleanField(
        label=gettext_lazy("Hold it: it stays out of the ERP until somebody releases it"), required=False
    )
    reason = forms.CharField(
        label=gettext_lazy("Why it is held"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Whoever releases it reads this."),
    )

    def __init__(self, rule: Rule, data: Any = None) -> None:
        when = {name: rule.when[condition] for name, condition in WHEN.items() if condition in rule.when}
        then = {name: getattr(rule, name) for name in THEN}
        super().__init__(data, initial={"name": rule.name, **when, **then}, label_suffix="")
        self.rule = rule
        channels = SalesChannel.objects.filter(seller=rule.seller_id).order_by("name")
        for name, field in self.fields.items():
            if name == "channels" and isinstance(field, forms.TypedMultipleChoiceField):
                field.choices = list(channels.values_list("pk", "name"))
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = workers_of([rule.seller_id])

    @property
    def whens(self) -> list[forms.BoundField]:
        return [self[name] for name in WHEN]

    @property
    def thens(self) -> list[forms.BoundField]:
        return [self[name] for name in THEN]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.errors:
            return given
        least, most = given["least"], given["most"]
        if least and most and Decimal(least) > Decimal(most):
            self.add_error("most", _("No total is both."))
        if not any(given[name] for name in WHEN):
            raise forms.ValidationError(_("Choose at least one condition."))
        if not any(given[name] for name in THEN if name != "reason"):
            raise forms.ValidationError(_("Choose at least one thing that it does."))
        return given

    def fill(self) -> Rule:
        """The rule as it was typed, not saved."""
        given, rule = self.cleaned_data, self.rule
        rule.name = given["name"]
        rule.when = {condition: given[name] for name, condition in WHEN.items() if given[name]}
        for name in THEN:
            setattr(rule, name, given[name])
        return rule


@form_page
def change(request: HttpRequest, pk: int) -> HttpResponse:
    return _rule_page(request, _one(request, pk))


@form_page
def add(request: HttpRequest) -> HttpResponse:
    seller = seller_to_set(request)
    known = Rule.objects.filter(seller=seller).count()
    if known >= MOST_RULES:
        messages.error(request, _("There are %(count)s rules already: remove one first.") % {"count": known})
        return redirect("automations")
    return _rule_page(request, Rule(seller=seller, position=known))


def _rule_page(request: HttpRequest, rule: Rule) -> HttpResponse:
    """Saved, or tried only: then it shows which orders would have met the conditions as they are typed."""
    before = _facts(rule) if rule.pk else {}
    form = RuleForm(rule, request.POST if request.method == "POST" else None)
    if form.is_valid():
        form.fill()
        if "try" not in request.POST:
            rule.save()
            what = "order_rule_changed" if before else "order_rule_added"
            log(request, what, rule.seller, rule, before, _facts(rule))
            messages.success(request, _("Kept. It acts on what comes in from now on."))
            return redirect("automations")
    tried = rule.when and not form.errors
    return show(request, "rule.html", rule.name or _("New rule"), form=form, rule=rule, **_tried(rule) if tried else {})


def _tried(rule: Rule) -> dict[str, Any]:
    newest = Order.objects.filter(seller=rule.seller_id).order_by("-placed_at")
    orders = list(newest.select_related("channel").prefetch_related("items")[:TRIED])
    found = [order for order in orders if matches(rule, order, list(order.items.all()))]
    return {"tried": len(orders), "found": len(found), "examples": found[:SHOWN]}


def _facts(rule: Rule) -> dict[str, Any]:
    """What the log keeps of it."""
    names = ("name", "active", "when", "tags", "boost", "hold", "reason")
    return {name: getattr(rule, name) for name in names} | {"assignee": words.person(rule.assignee)}


def _one(request: HttpRequest, pk: int) -> Rule:
    rule = one(Rule.objects.select_related("seller", "assignee"), request, pk)
    must_act(request, rule.seller, Permission.SETTINGS)
    return rule


# --- What is done to one from the list --------------------------------------------------------------------------------


@action
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    rule = _one(request, pk)
    Rule.objects.filter(pk=pk).update(active=not rule.active)
    log(request, "order_rule_switched", rule.seller, rule, {"active": rule.active}, {"active": not rule.active})
    messages.success(request, _("Switched off.") if rule.active else _("Switched on."))
    return redirect("automations")


@action
def move_up(request: HttpRequest, pk: int) -> HttpResponse:
    rule = _one(request, pk)
    with transaction.atomic():
        found = list(Rule.objects.select_for_update().filter(seller=rule.seller_id).order_by("position", "pk"))
        place = [one.pk for one in found].index(pk)
        if place:
            found[place - 1], found[place] = found[place], found[place - 1]
        for position, each in enumerate(found):
            each.position = position
        Rule.objects.bulk_update(found, ["position"])
    log(request, "order_rule_moved", rule.seller, rule)
    return redirect("automations")


@action
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """What it has done stays."""
    rule = _one(request, pk)
    log(request, "order_rule_removed", rule.seller, rule, _facts(rule))
    rule.delete()
    messages.success(request, _("Removed. What it has done stays."))
    return redirect("automations")
