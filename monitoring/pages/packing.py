"""Picking and packing: what to send next, what to take, the papers, the labels, and that it left."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from io import BytesIO
from typing import Any

from csp.decorators import csp_exempt
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.failures import Refusal
from hub.models import Seller
from hub.tenancy import Permission
from hub.vault import VaultLocked
from monitoring.packing import danfe, dispatch, fetching, printing, scanning, slips
from monitoring.packing.paper import SIZES
from monitoring.packing.picking import MOST, boxes, picks, to_dispatch, with_parts
from monitoring.pages import sentences, words
from monitoring.pages.shell import (
    action,
    actor,
    back,
    carry_out,
    form_page,
    log,
    must_act,
    one,
    page,
    sellers_allowing,
    show,
)
from orders import doors
from orders.models import Order, SalesChannel

DUE = {
    "late": gettext_lazy("Late"),
    "today": gettext_lazy("By today"),
    "tomorrow": gettext_lazy("By tomorrow"),
    "all": gettext_lazy("All"),
}
# The cookie that keeps how labels were last printed.
PRINTED_AS = "labels"
YEAR = 365 * 24 * 3600
MOST_AT_ONCE = gettext_lazy("No more than %(count)s orders at once: the first of them are here.")


# --- Which orders ---------------------------------------------------------------------------------------------------


def _workable(request: HttpRequest, *more: Permission) -> list[int]:
    """Sellers in view whose parcels this person packs, with `more` where that is needed; 403 without any."""
    allowed = {seller.pk for seller in sellers_allowing(request, Permission.WORK)}
    for permission in more:
        allowed &= {seller.pk for seller in sellers_allowing(request, permission)}
    if not allowed:
        raise PermissionDenied
    return sorted(allowed)


def _ids(values: Iterable[str]) -> list[int]:
    """Of `?orders=1,2&orders=3`, each once, in this order."""
    parts = (part for value in values for part in value.split(","))
    return list(dict.fromkeys(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 19))


def _chosen(request: HttpRequest, *more: Permission) -> list[Order]:
    """The orders that the address or form names, in its order; without any, all to dispatch by `due`."""
    sellers = _workable(request, *more)
    given = request.POST if request.method == "POST" else request.GET
    ids = _ids(given.getlist("orders"))
    if len(ids) > MOST:
        messages.warning(request, MOST_AT_ONCE % {"count": MOST})
    if not ids and request.method == "POST":
        return []
    rows = Order.objects.filter(seller__in=sellers)
    if not ids:
        return list(with_parts(_by_cut_off(to_dispatch(rows), request))[:MOST])
    found = {order.pk: order for order in with_parts(rows.filter(pk__in=ids[:MOST]))}
    return [found[pk] for pk in ids if pk in found]


def _by_cut_off(rows: QuerySet[Order], request: HttpRequest) -> QuerySet[Order]:
    if request.GET.get("channel", "").isdigit():
        rows = rows.filter(channel=int(request.GET["channel"]))
    due = request.GET.get("due", "")
    if due == "late":
        return rows.filter(ship_by__lt=timezone.now())
    if due in ("today", "tomorrow"):
        days = 1 if due == "today" else 2
        midnight = datetime.combine(timezone.localdate() + timedelta(days=days), time.min)
        return rows.filter(ship_by__lt=timezone.make_aware(midnight))
    return rows


def _orders_parameter(orders: Iterable[Order]) -> str:
    return ",".join(str(order.pk) for order in orders)


# --- What to send next ----------------------------------------------------------------------------------------------


@page
def packing(request: HttpRequest) -> HttpResponse:
    sellers = _workable(request)
    rows = to_dispatch(Order.objects.filter(seller__in=sellers))
    found = list(with_parts(_by_cut_off(rows, request))[: MOST + 1])
    return show(
        request,
        "packing.html",
        _("Packing"),
        lines=[(line, *words.countdown(line.order)) for line in printing.lines(found[:MOST])],
        more=len(found) > MOST,
        most=MOST,
        due=DUE.items(),
        chosen_due=request.GET.get("due") if request.GET.get("due") in DUE else "all",
        channels=SalesChannel.objects.filter(seller__in=sellers).order_by("name"),
        chosen_channel=request.GET.get("channel", ""),
        without_sender=[one for one in Seller.objects.filter(pk__in=sellers) if not one.sender],
        can_set={seller.pk for seller in sellers_allowing(request, Permission.SETTINGS)},
    )


@page
def pick_list(request: HttpRequest) -> HttpResponse:
    packed = boxes(_chosen(request))
    return show(
        request,
        "packing_list.html",
        _("Pick list"),
        picks=picks(packed),
        boxes=packed,
        orders=_orders_parameter(box.order for box in packed),
        now=timezone.now(),
    )


@csp_exempt()
@page
def pick_list_pdf(request: HttpRequest) -> HttpResponseBase:
    packed = boxes(_chosen(request))
    if not packed:
        return _nothing(request)
    return _file(slips.pick_list(picks(packed), packed), f"{_('pick-list')}.pdf", fetching.PDF)


@csp_exempt()
@page
def packing_slips(request: HttpRequest) -> HttpResponseBase:
    size = request.GET.get("size", "a4")
    packed = boxes(_chosen(request, Permission.BUYER))
    if not packed:
        return _nothing(request)
    return _file(slips.slips(packed, size if size in SIZES else "a4"), f"{_('packing-slips')}.pdf", fetching.PDF)


@csp_exempt()
@page
def packing_danfe(request: HttpRequest) -> HttpResponseBase:
    """As a label, or A4; of those orders whose NF-e's XML is here."""
    size = request.GET.get("size", "label")
    try:
        content, without = danfe.danfes(_chosen(request, Permission.BUYER), size if size in SIZES else "label")
    except VaultLocked as error:
        messages.error(request, sentences.translated(str(error)))
        return redirect("packing")
    if without:
        names = ", ".join(order.external_id for order in without[:5])
        messages.warning(request, _("Without a DANFE, for want of a complete XML: %(orders)s") % {"orders": names})
    return _file(content, "danfe.pdf", fetching.PDF) if content else _nothing(request)


def _nothing(request: HttpRequest) -> HttpResponseBase:
    messages.warning(request, _("There is nothing to print among these orders."))
    return redirect("packing")


def _file(content: bytes, name: str, kind: str, *, keep: bool = False) -> HttpResponseBase:
    """Shown in the browser where it can (a PDF), saved otherwise."""
    answer = FileResponse(BytesIO(content), filename=name, content_type=kind, as_attachment=keep)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


# --- Labels ---------------------------------------------------------------------------------------------------------


@page
def packing_labels(request: HttpRequest) -> HttpResponse:
    """Where each order's label stands. Fetching and printing are forms on it."""
    orders = _chosen(request, Permission.BUYER)
    lines = printing.lines(orders)
    states = [line.state for line in lines]
    pdf, zpl = (len(printing.chosen(lines, kind, ())) for kind in (fetching.PDF, fetching.ZPL))
    return show(
        request,
        "packing_labels.html",
        _("Labels"),
        lines=lines,
        orders=_orders_parameter(orders),
        asked=sum(state in (printing.State.READY, printing.State.OURS) for state in states),
        to_ask=sum(state in (printing.State.TO_ASK, printing.State.REFUSED) for state in states),
        under_way=sum(state in (printing.State.ON_THE_WAY, printing.State.WAITS) for state in states),
        pdf=pdf,
        zpl=zpl,
        refused=any(state is printing.State.REFUSED for state in states),
        prefers_zpl=request.COOKIES.get(PRINTED_AS) == "zpl" and (zpl or not pdf),
        can_set={seller.pk for seller in sellers_allowing(request, Permission.SETTINGS)},
    )


def _labels_of(orders: Iterable[Order]) -> str:
    return f"{reverse('packing_labels')}?orders={_orders_parameter(orders)}"


@action
def packing_labels_fetch(request: HttpRequest) -> HttpResponse:
    orders = _chosen(request, Permission.BUYER)
    count = fetching.ask(orders)
    if count:
        said = ngettext("%(count)s label is being fetched.", "%(count)s labels are being fetched.", count)
        messages.success(request, said % {"count": count})
    return HttpResponseRedirect(_labels_of(orders))


@csp_exempt()
@action
def packing_labels_print(request: HttpRequest) -> HttpResponseBase:
    """The file itself: that it was printed is written on each order's timeline in the same breath."""
    orders = _chosen(request, Permission.BUYER)
    kind = fetching.ZPL if request.POST.get("kind") == "zpl" else fetching.PDF
    found = printing.chosen(printing.lines(orders), kind, set(_ids(request.POST.getlist("ours"))))
    if not found:
        return _nothing(request)
    try:
        content = printing.as_zpl(found) if kind == fetching.ZPL else printing.as_pdf(found)
    except VaultLocked as error:
        messages.error(request, sentences.translated(str(error)))
        return HttpResponseRedirect(_labels_of(orders))
    printing.mark(found, actor(request))
    ending = "zpl" if kind == fetching.ZPL else "pdf"
    answer = _file(content, f"{_('labels')}.{ending}", kind, keep=kind == fetching.ZPL)
    # In the browser, since a printer belongs to a place and not to a person.
    answer.set_cookie(
        PRINTED_AS, ending, max_age=YEAR, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )
    return answer


# --- The sender -----------------------------------------------------------------------------------------------------


class SenderForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    street = forms.CharField(label=gettext_lazy("Street"), max_length=120)
    number = forms.CharField(label=gettext_lazy("Number"), max_length=20, required=False)
    district = forms.CharField(label=gettext_lazy("District"), max_length=80, required=False)
    city = forms.CharField(label=gettext_lazy("City"), max_length=80)
    state = forms.ChoiceField(label="UF", choices=[("", ""), *((state, state) for state in words.STATES)])
    postal_code = forms.RegexField(r"^\s*\d{5}-?\d{3}\s*$", label="CEP")
    phone = forms.CharField(label=gettext_lazy("Phone"), max_length=30, required=False)

    def clean_postal_code(self) -> str:
        return str(self.cleaned_data["postal_code"]).strip().replace("-", "")


@form_page
def packing_sender(request: HttpRequest) -> HttpResponse:
    """Whose address our labels name as the sender's."""
    sellers = sellers_allowing(request, Permission.SETTINGS)
    if not sellers:
        raise PermissionDenied
    wanted = request.POST.get("seller") or request.GET.get("seller") or str(sellers[0].pk)
    seller = next((one for one in sellers if str(one.pk) == wanted), None)
    if seller is None:
        raise Http404
    given = request.POST if request.method == "POST" and "seller" in request.POST else None
    form = SenderForm(given, initial=seller.sender or {"name": seller.name}, label_suffix="")
    if given is not None and form.is_valid():
        before, seller.sender = seller.sender, form.cleaned_data
        seller.save(update_fields=["sender"])
        log(request, "sender_changed", seller, before=before, after=seller.sender)
        messages.success(request, _("Kept. It stands on the next label."))
        return redirect("packing")
    return show(request, "packing_sender.html", _("Sender on labels"), form=form, seller=seller, sellers=sellers)


# --- Scanning -------------------------------------------------------------------------------------------------------


@form_page
def scan(request: HttpRequest) -> HttpResponse:
    """A number in, the order out; in dispatch mode the parcel has left."""
    sellers = _workable(request)
    dispatching = (request.POST.get("mode") or request.GET.get("mode")) == "dispatch"
    said: dict[str, Any] = {}
    if request.method == "POST":
        text = request.POST.get("code", "")
        found = scanning.find(text, sellers)
        if len(found) == 1 and not dispatching:
            return redirect("order", found[0].pk)
        said = _scanned(request, text, found, dispatching=dispatching)
    return show(request, "packing_scan.html", _("Scan"), dispatching=dispatching, **said)


def _scanned(request: HttpRequest, text: str, found: list[Order], *, dispatching: bool) -> dict[str, Any]:
    """What the panel shows: `tone` decides its colour and its sound."""
    if not text.strip():
        return {}
    if not found:
        return {"tone": "red", "said": _("No order has the number %(number)s.") % {"number": text.strip()[:60]}}
    if len(found) > 1 or not dispatching:
        return {"tone": "amber", "said": _("Several orders have this number: choose one."), "several": found}
    return _leave(request, found[0], text)


def _leave(request: HttpRequest, order: Order, text: str) -> dict[str, Any]:
    about = {"order": order}
    if reason := dispatch.obstacle(order):
        undo = order.shipped_at is not None and dispatch.by_hand(order) is not None
        return {**about, "tone": "red", "said": reason, "undo": undo}
    known, confirmed = dispatch.known_parcel(order), "confirmed" in request.POST
    if not confirmed and (known is None or order.invoiced_at is None):
        question = _("No NF-e yet.") if order.invoiced_at is None else _("Which tracking code?")
        return {**about, "tone": "amber", "said": question, "ask": True, "code": text, "known": known}
    try:
        dispatch.mark(order, actor(request), *_given(request))
    except Refusal as refusal:
        return {**about, "tone": "red", "said": str(refusal)}
    return {**about, "tone": "green", "said": _("Dispatched."), "undo": True}


def _given(request: HttpRequest) -> tuple[str, str]:
    """(carrier, tracking code) as a person typed them."""
    return request.POST.get("carrier", "").strip()[:120], request.POST.get("tracking_code", "").strip()[:120]


@action
def order_dispatch(request: HttpRequest, pk: int) -> HttpResponse:
    sale = one(Order.objects.select_related("seller"), request, pk)
    must_act(request, sale.seller)
    carry_out(request, lambda: dispatch.mark(sale, actor(request), *_given(request)), _("Marked as dispatched."))
    return back(request, reverse("order", args=[pk]))


@action
def order_dispatch_undo(request: HttpRequest, pk: int) -> HttpResponse:
    sale = one(Order.objects.select_related("seller"), request, pk)
    must_act(request, sale.seller)
    carry_out(request, lambda: dispatch.take_back(sale, actor(request)), _("Taken back: the channel was not told."))
    return back(request, reverse("order", args=[pk]))


# --- The NF-e -------------------------------------------------------------------------------------------------------


@page
def order_xml(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The NF-e's file byte for byte as it came: the one with the `key`, else the newest."""
    sale = one(Order.objects.select_related("seller"), request, pk)
    must_act(request, sale.seller, Permission.BUYER)
    rows = sale.invoices.exclude(sealed_xml="")
    if key := request.GET.get("key", ""):
        rows = rows.filter(key=key)
    invoice = rows.order_by("cancelled", "-issued_at", "-pk").first()
    if invoice is None:
        raise Http404
    try:
        xml = doors.invoice_document(invoice).xml
    except VaultLocked as error:
        messages.error(request, sentences.translated(str(error)))
        return redirect("order", pk)
    return _file(xml, f"NFe{invoice.key}.xml", "application/xml", keep=True)
