"""What a service refused, corrected here and sent again in one step: buyer, address and SKUs, a parcel, an NF-e."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import actions, planning
from connectors.models import Job
from connectors.reading import document_number
from hub.tenancy import Permission
from monitoring.pages import words
from monitoring.pages.shell import action, actor, back, carry_out, form_page, log, must_act, one, sees, show
from monitoring.templatetags import hub as shown
from orders import invoices, money
from orders.corrections import LABELS, PEOPLE
from orders.documents import InvoiceDocument
from orders.invoices import InvoiceRefused
from orders.models import Answer, Invoice, Order, Shipment
from orders.vocabulary import Hold, Source

# Of a sale's products; who sells more different ones in one sale corrects them by their incident.
SKUS_SHOWN = 40
LARGEST_FILE = 1024 * 1024
# (name, longest)
BUYER = (("name", 255), ("document", 20), ("state_registration", 20))
ADDRESS = (
    ("recipient", 255), ("street", 255), ("number", 120), ("complement", 255), ("district", 255), ("city", 255),
    ("state", 2), ("postal_code", 10),
)  # fmt: skip
# An address without these is none that a parcel or an NF-e could name.
NEEDED = ("street", "city", "state", "postal_code")
KEPT = (*NEEDED, "name", "document")


@dataclass(frozen=True)
class Group:
    """Fields that belong together. `parts`: where of the order they are; an address may be there twice."""

    heading: str
    parts: tuple[str, ...]
    names: Sequence[tuple[str, int]]


def _groups(order: Order) -> list[Group]:
    buyer = Group(_("Buyer"), ("buyer",), BUYER)
    if not order.bill_to:
        return [buyer, Group(_("Address"), ("ship_to",), ADDRESS)]
    if order.bill_to == order.ship_to:
        return [buyer, Group(_("Address"), ("ship_to", "bill_to"), ADDRESS)]
    delivery, billing = (Group(name, (part,), ADDRESS) for name, part in _addresses())
    return [buyer, delivery, billing]


def _addresses() -> list[tuple[str, str]]:
    return [(_("Delivery address"), "ship_to"), (_("Billing address"), "bill_to")]


class SaleForm(forms.Form):
    """What of a sale may be wrong for the ERP; no more of it than this person may see."""

    def __init__(self, order: Order, groups: Sequence[Group], *args: Any) -> None:
        super().__init__(*args)
        self.parts = groups
        for group in groups:
            for name, longest in group.names:
                value = str(getattr(order, group.parts[0]).get(name, ""))
                self.fields[f"{group.parts[0]}-{name}"] = _field(name, longest, value)
        self.skus = _skus(order)
        for place, (sku, title) in enumerate(self.skus):
            self.fields[f"sku-{place}"] = forms.CharField(
                label=_("SKU in the ERP of %(title)s") % {"title": title}, max_length=120, initial=sku
            )

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        found = [(one.heading, [self[f"{one.parts[0]}-{name}"] for name, _longest in one.names]) for one in self.parts]
        products = [self[f"sku-{place}"] for place in range(len(self.skus))]
        return [*found, (_("Products"), products)] if products else found

    def clean(self) -> dict[str, Any]:
        """An address that somebody touches is whole afterwards."""
        given: dict[str, Any] = super().clean() or {}
        for part in (group.parts[0] for group in self.parts if group.names is ADDRESS):
            if not any(field.startswith(f"{part}-") for field in self.changed_data):
                continue
            for name in NEEDED:
                if f"{part}-{name}" in given and not given[f"{part}-{name}"]:
                    self.add_error(f"{part}-{name}", _("This is needed."))
        return given

    def changes(self) -> dict[str, dict[str, str]]:
        """What differs from what was shown, as `doors.correct` takes it."""
        found: dict[str, dict[str, str]] = {}
        for group in self.parts:
            names = [name for name, _longest in group.names if f"{group.parts[0]}-{name}" in self.changed_data]
            values = {name: self.cleaned_data[f"{group.parts[0]}-{name}"] for name in names}
            found |= {part: values for part in group.parts if values}
        return found

    def erp_skus(self) -> dict[str, str]:
        named = {f"sku-{place}": sku for place, (sku, _title) in enumerate(self.skus)}
        return {named[field]: self.cleaned_data[field].strip() for field in self.changed_data if field in named}


def _field(name: str, longest: int, value: str) -> forms.Field:
    field = _kind(name, longest, value)
    return needed(field) if name in NEEDED else field


def needed(field: forms.Field) -> forms.Field:
    """Not said to be optional, although it may be left empty in some cases."""
    field.needed = True  # type: ignore[attr-defined]
    return field


def _kind(name: str, longest: int, value: str) -> forms.Field:
    # What is there may be corrected, not taken away.
    what: dict[str, Any] = {"label": LABELS[name], "required": bool(value) and name in KEPT, "initial": value}
    if name == "state":
        what["initial"] = value.upper()
        return forms.ChoiceField(choices=[("", "—"), *((one, one) for one in words.STATES)], **what)
    if name == "postal_code":
        what["initial"] = shown.postal_code(value)
        return _PostalCode(r"^\d{5}-?\d{3}$", max_length=longest, **what)
    if name == "document":
        what["initial"] = shown.document(value)
        return _Document(max_length=longest, **what)
    return forms.CharField(max_length=longest, **what)


class _PostalCode(forms.RegexField):
    default_error_messages = {"invalid": gettext_lazy("A CEP has eight digits.")}

    def clean(self, value: Any) -> str:
        return str(super().clean(value)).replace("-", "")


class _Document(forms.CharField):
    def clean(self, value: Any) -> str:
        """Left as it was shown, it is not judged: it may be withheld, and another part is what was wrong."""
        text = str(super().clean(value))
        number = document_number(text)
        if text != self.initial and (not number or "*" in text or not money.buyer_is_valid(number)):
            raise forms.ValidationError(_("This is no valid CPF or CNPJ."))
        return number


def _skus(order: Order) -> list[tuple[str, str]]:
    """(as it would go to the ERP, title) of each product that is left. Of several lines without any it cannot be said
    which is meant."""
    lines = [line for line in order.items.all() if line.left]
    found = {line.erp_sku or line.sku: line.title or line.sku for line in lines}
    if sum(not (line.erp_sku or line.sku) for line in lines) > 1:
        del found[""]
    return list(found.items())[:SKUS_SHOWN]


@form_page
def order_correct(request: HttpRequest, pk: int) -> HttpResponse:
    """Buyer, address and SKUs, as long as the ERP does not have the order."""
    sale = one(_sales(), request, pk)
    must_act(request, sale.seller)
    groups = _groups(sale) if sees(request, Permission.BUYER, sale.seller_id) else []
    form = SaleForm(sale, groups, request.POST if request.method == "POST" else None)

    def corrected() -> bool:
        changes, skus = form.changes(), form.erp_skus()
        actions.correct_sale(sale, changes, skus, actor(request))
        fields = list(dict.fromkeys(name for values in changes.values() for name in values))
        if fields:
            log(request, "order_corrected", sale.seller, sale, after={"fields": fields})
        for sku, erp_sku in skus.items():
            log(request, "sku_corrected", sale.seller, sku, after={"erp_sku": erp_sku})
        return True

    return _corrected(
        request,
        form,
        sale,
        _("Correct order %(number)s") % {"number": sale},
        corrected,
        reasons=_reasons(sale, ("export",)),
        # What names the buyer stays out of the log and the timeline.
        groups=form.groups(),
        hidden=not groups,
        obstacle=_("The ERP has this order already: correct it there.") if sale.exported_at else "",
    )


def _sales() -> Any:
    return Order.objects.select_related("seller", "channel__connection").prefetch_related("items")


def _reasons(sale: Order, operations: Sequence[str], key: str = "") -> list[str]:
    """Why it did not go through, in plain words."""
    jobs = Job.objects.filter(order=sale, operation__in=operations, state=Job.State.REFUSED)
    jobs = jobs.filter(key=key) if key else jobs
    held = [words.hold(Hold.BUYER)] if "export" in operations and Hold.BUYER in sale.active_holds else []
    return held + [words.stored(error) for error in jobs.order_by("pk").values_list("error", flat=True)]


def _corrected(
    request: HttpRequest, form: forms.Form, sale: Order, title: str, deed: Callable[[], bool], **context: Any
) -> HttpResponse:
    """Carries it out where the form is right, and goes back to where the person came from; else the page with it."""
    target = request.POST.get("next") or request.GET.get("next", "")
    if form.is_bound and not form.has_changed():
        form.add_error(None, _("Nothing was changed."))
    if form.is_bound and form.is_valid() and carry_out(request, deed, _("Corrected. It is sent again now.")):
        return back(request, reverse("order", args=[sale.pk]))
    return show(request, "correct.html", title, form=form, order=sale, target=target, **context)


# --- A parcel -------------------------------------------------------------------------------------------------------


class ParcelForm(forms.Form):
    carrier = forms.CharField(label=LABELS["carrier"], max_length=120, required=False)
    tracking_code = forms.CharField(label=LABELS["tracking_code"], max_length=120, required=False)


@form_page
def parcel_correct(request: HttpRequest, pk: int) -> HttpResponse:
    """Carrier and tracking code of a parcel that the ERP or a person dispatched, as the channel is to hear of them."""
    rows = Shipment.objects.filter(source__in=(Source.ERP, Source.PERSON)).select_related("order__seller")
    parcel = one(rows, request, pk, "order__seller")
    must_act(request, parcel.order.seller)
    before = {"carrier": parcel.carrier, "tracking_code": parcel.tracking_code}
    form = ParcelForm(request.POST if request.method == "POST" else None, initial=before)

    def corrected() -> bool:
        actions.correct_dispatch(
            parcel, form.cleaned_data["carrier"], form.cleaned_data["tracking_code"], actor(request)
        )
        log(request, "dispatch_corrected", parcel.order.seller, parcel.order, before, form.cleaned_data)
        return True

    told = parcel.answer in (Answer.ACCEPTED, Answer.NOT_NEEDED)
    return _corrected(
        request,
        form,
        parcel.order,
        _("Correct the dispatch of order %(number)s") % {"number": parcel.order},
        corrected,
        reasons=_reasons(parcel.order, planning.TELLING, f"shipment:{parcel.pk}"),
        groups=[(_("Parcel"), list(form))],
        obstacle=_("The channel has accepted this parcel already.") if told else "",
    )


# --- An NF-e --------------------------------------------------------------------------------------------------------


class InvoiceForm(forms.Form):
    """The file says all that the key says, and more: one of the two is enough."""

    key = forms.CharField(
        label=gettext_lazy("Access key"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("44 characters, with or without blanks. Number and series are part of it."),
        widget=forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off", "class": "e-mono"}),
    )
    xml = forms.FileField(
        label=gettext_lazy("XML file"),
        required=False,
        help_text=gettext_lazy(
            "With SEFAZ's protocol, as it was authorised (nfeProc). Some channels take nothing else."
        ),
        widget=forms.FileInput(
            attrs={"accept": ".xml,application/xml,text/xml", "style": "height: auto; padding-block: .4rem"}
        ),
    )

    def __init__(self, known: Sequence[Invoice], *args: Any) -> None:
        super().__init__(*args)
        self.known = {str(row.pk): row for row in known}
        if known:
            wrong = next((pk for pk, row in self.known.items() if row.answer == Answer.REFUSED or row.problem), "")
            named = [(pk, _("NF-e %(number)s") % {"number": row.short}) for pk, row in self.known.items()]
            self.fields["replaces"] = forms.ChoiceField(
                label=_("It comes in the place of"),
                choices=[*named, ("", _("none: it is one more"))],
                required=False,
                initial=wrong,
            )
        for field in self.fields.values():
            needed(field)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        try:
            given["document"] = document = self._document(given)
        except InvoiceRefused as refused:
            raise forms.ValidationError(refused.message) from None
        wrong = self.known.get(given.get("replaces") or "")
        if wrong is not None:
            given["document"] = document.model_copy(update={"shipment_id": wrong.shipment_reference})
        return {**given, "wrong": wrong}

    def _document(self, given: dict[str, Any]) -> InvoiceDocument:
        key = "".join(str(given.get("key", "")).split()).upper().removeprefix("NFE")
        file = given.get("xml")
        if file is None:
            if not key:
                raise InvoiceRefused(_("Type the access key, or choose the XML file."))
            return invoices.of_key(key)
        if file.size > LARGEST_FILE:
            raise InvoiceRefused(_("This file is too large to be an NF-e."))
        document = invoices.read(file.read())
        if key and key != document.key:
            raise InvoiceRefused(_("The XML is of another NF-e: it does not hold the access key."))
        return document


@form_page
def order_invoice(request: HttpRequest, pk: int) -> HttpResponse:
    """The right NF-e, where the channel refused the one it was told of or the ERP gave a wrong one."""
    sale = one(_sales(), request, pk)
    must_act(request, sale.seller)
    known = list(Invoice.objects.filter(Invoice.IN_FORCE, order=sale).defer("sealed_xml").order_by("pk"))
    data = (request.POST, request.FILES) if request.method == "POST" else ()
    form = InvoiceForm(known, *data)

    def corrected() -> bool:
        document, wrong = form.cleaned_data["document"], form.cleaned_data["wrong"]
        actions.correct_invoice(sale, document, wrong, actor(request))
        before = {"key": wrong.key} if wrong is not None else {}
        log(request, "invoice_corrected", sale.seller, sale, before, {"key": document.key})
        return True

    return _corrected(
        request,
        form,
        sale,
        _("NF-e of order %(number)s") % {"number": sale},
        corrected,
        reasons=_reasons(sale, ("send_invoice",)),
        groups=[("NF-e", list(form))],
        files=True,
    )


# --- Taken back -----------------------------------------------------------------------------------------------------


@action
def order_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """The source's word again, as long as nobody was told the corrected one."""
    sale = one(_sales(), request, pk)
    must_act(request, sale.seller)
    path = request.POST.get("path", "")
    part, _dot, name = path.rpartition(".")
    if path not in sale.corrections or name not in LABELS:
        raise Http404
    if part in PEOPLE:
        must_act(request, sale.seller, Permission.BUYER)

    def restored() -> None:
        actions.restore(sale, part, name, actor(request))
        log(request, "correction_taken_back", sale.seller, sale, after={"fields": [name]})

    carry_out(request, restored, _("As its source says it again."))
    return back(request, reverse("order", args=[pk]))
