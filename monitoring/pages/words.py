"""Plain words for what the database says in codes. Nothing on a page is a raw code."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from connectors import tokens
from connectors.contract import Capability
from connectors.failures import Category
from connectors.models import Connection, Credential, InboxEntry, Job, Link
from connectors.registry import services
from hub.tenancy import name_of
from monitoring.pages import sentences
from monitoring.transmission import Obstacle, Standing, standing
from orders.models import Order
from orders.vocabulary import Hold, OrderStatus

TONES: dict[str, str] = {
    OrderStatus.PENDING: "grey",
    OrderStatus.APPROVED: "blue",
    OrderStatus.INVOICED: "violet",
    OrderStatus.SHIPPED: "amber",
    OrderStatus.DELIVERED: "green",
    OrderStatus.CANCELLED: "grey",
    OrderStatus.RETURNED: "red",
    Connection.State.NEW: "grey",
    Connection.State.ACTIVE: "green",
    Connection.State.PAUSED: "amber",
    Connection.State.SIGN_IN: "red",
    Job.State.READY: "blue",
    Job.State.RUNNING: "blue",
    Job.State.UNKNOWN: "amber",
    Job.State.DONE: "green",
    Job.State.REFUSED: "red",
    Job.State.CLOSED: "grey",
    InboxEntry.State.REJECTED: "red",
    InboxEntry.State.WAITING: "blue",
}

# Of a connection: what it is, and the tone.
VERDICTS: dict[str, tuple[Any, str]] = {
    "overdue": (gettext_lazy("Nobody looks for news"), "red"),
    "away": (gettext_lazy("Does not answer"), "red"),
    "needs_person": (gettext_lazy("Needs you"), "amber"),
    "paused": (gettext_lazy("Paused in part"), "amber"),
    "failing": (gettext_lazy("Fails at times"), "amber"),
    "well": (gettext_lazy("Works"), "green"),
}

OPERATIONS = {
    "poll": gettext_lazy("Look for new orders"),
    "fetch": gettext_lazy("Read the order from the channel"),
    "export": gettext_lazy("Create the order in the ERP"),
    "cancel_erp": gettext_lazy("Cancel the order in the ERP"),
    "change_erp": gettext_lazy("Correct the order in the ERP"),
    "read_erp": gettext_lazy("Read the order from the ERP"),
    "send_invoice": gettext_lazy("Send the invoice to the channel"),
    "send_dispatch": gettext_lazy("Tell the channel that it was shipped"),
    "send_delivery": gettext_lazy("Tell the channel that it was delivered"),
    "cancel_sale": gettext_lazy("Cancel the sale at the channel"),
    "label": gettext_lazy("Get the shipping label"),
    "backfill": gettext_lazy("Read a period again"),
    "census": gettext_lazy("Read the list of sales"),
    "cancel_twin": gettext_lazy("Cancel the second order in the ERP"),
}
# Those a person may let rest one by one, by the connection's role.
FLOWS = {
    "channel": ("poll", "send_invoice", "send_dispatch", "send_delivery"),
    "erp": ("poll", "export", "change_erp", "cancel_erp"),
}

CATEGORIES = {
    Category.TRANSIENT: gettext_lazy("The service is failing or away. We keep trying by ourselves."),
    Category.RATE_LIMITED: gettext_lazy("The service's limit of calls is used up. We go on when it lets us."),
    Category.AUTH: gettext_lazy(
        "The service no longer accepts the sign-in. Sign in again; then everything goes on by itself."
    ),
    Category.REJECTED: gettext_lazy("The service refused the data. Correct it there or here, then try again."),
    Category.BUG: gettext_lazy(
        "The hub did not understand the answer. Try again; if it stays, tell whoever runs the hub."
    ),
    "lost": gettext_lazy("The work was interrupted and starts again by itself."),
}

CAPABILITIES = {
    Capability.CHANGES: gettext_lazy("Finds new and changed orders by itself"),
    Capability.CENSUS: gettext_lazy("Lists all sales of a day, so that nothing is missing unnoticed"),
    Capability.FETCH: gettext_lazy("Can read one single order"),
    Capability.PUSH: gettext_lazy("Tells us at once when something changes"),
    Capability.SEND_INVOICE: gettext_lazy("Receives the invoice"),
    Capability.SEND_DISPATCH: gettext_lazy("Learns that an order was shipped, with its tracking code"),
    Capability.SEND_DELIVERY: gettext_lazy("Learns that an order was delivered"),
    Capability.CANCEL: gettext_lazy("Lets us cancel an order"),
    Capability.LABEL: gettext_lazy("Hands out shipping labels"),
    Capability.FIND: gettext_lazy("Can be searched by our order number, so that no order is created twice"),
    Capability.CREATE: gettext_lazy("Takes new orders"),
    Capability.ITEMS: gettext_lazy("Knows its products by SKU"),
    Capability.CONSENT: gettext_lazy("You sign in on the service's own page"),
    Capability.REFRESH: gettext_lazy("The sign-in is renewed by itself"),
    Capability.CHECK: gettext_lazy("The connection can be tested"),
}
ROLE_CAPABILITIES = {
    "channel": (
        Capability.CHANGES, Capability.CENSUS, Capability.FETCH, Capability.PUSH, Capability.SEND_INVOICE,
        Capability.SEND_DISPATCH, Capability.SEND_DELIVERY, Capability.CANCEL, Capability.LABEL, Capability.CONSENT,
        Capability.REFRESH, Capability.CHECK,
    ),
    "erp": (
        Capability.CREATE, Capability.FIND, Capability.CHANGES, Capability.CENSUS, Capability.FETCH, Capability.PUSH,
        Capability.CANCEL, Capability.ITEMS, Capability.CONSENT, Capability.REFRESH, Capability.CHECK,
    ),
}  # fmt: skip

SOURCES = {
    "poll": gettext_lazy("found by looking"),
    "push": gettext_lazy("announced by the service"),
    "backfill": gettext_lazy("read again on request"),
    "fetch": gettext_lazy("read one by one"),
    "person": gettext_lazy("asked for by a person"),
}

# As channels name them; another name is shown as it came.
PAYMENTS = {
    "credit_card": gettext_lazy("Credit card"),
    "debit_card": gettext_lazy("Debit card"),
    "bank_transfer": gettext_lazy("Pix or bank transfer"),
    "pix": gettext_lazy("Pix"),
    "ticket": gettext_lazy("Boleto"),
    "boleto": gettext_lazy("Boleto"),
    "account_money": gettext_lazy("Balance at the channel"),
    "digital_currency": gettext_lazy("Credit line of the channel"),
}

# The standard sentences of failed calls are stored in English and translated when they are shown.
STORED = (
    gettext_noop("The service gave an answer this hub does not expect."),
    gettext_noop("The service redirects to another address, which is not followed."),
    gettext_noop("The service refused this request."),
    gettext_noop("The service is failing at the moment."),
    gettext_noop("The service no longer accepts this connection's sign-in."),
    gettext_noop("The service no longer accepts this connection's key."),
    gettext_noop("The service denies this connection the permission for this."),
    gettext_noop("The service took too long to read the request."),
    gettext_noop("The service is not ready for this request."),
    gettext_noop("The service's limit of calls is used up."),
    gettext_noop("The service does not offer this."),
    gettext_noop("This connection's budget of calls is used up for the moment."),
    gettext_noop("The worker died each time it ran this."),
    gettext_noop("The address that the service handed out is no longer good."),
    gettext_noop(
        "The sale was cancelled after its invoice was issued. Cancel the invoice in the ERP within the legal "
        "window, or register a return, then mark this as handled."
    ),
)

# Words of the frame around the pages, which knows no Portuguese.
FRAME = (
    gettext_noop("Welcome back to"),
    gettext_noop("Light"),
    gettext_noop("Dark"),
    gettext_noop("System"),
    gettext_noop("Toggle password visibility"),
    gettext_noop("No results found"),
    gettext_noop("Reset filters"),
    gettext_noop("This page yielded into no results. Create a new item or reset your filters."),
)

REGIONS = {
    "N": (gettext_lazy("North"), ("AC", "AM", "AP", "PA", "RO", "RR", "TO")),
    "NE": (gettext_lazy("Northeast"), ("AL", "BA", "CE", "MA", "PB", "PE", "PI", "RN", "SE")),
    "CO": (gettext_lazy("Central-West"), ("DF", "GO", "MS", "MT")),
    "SE": (gettext_lazy("Southeast"), ("ES", "MG", "RJ", "SP")),
    "S": (gettext_lazy("South"), ("PR", "RS", "SC")),
}
STATES = sorted(state for _label, states in REGIONS.values() for state in states)


def stored(text: str) -> str:
    """A sentence as it was stored, in the reader's language where it is one of ours."""
    return sentences.translated(text) if text else ""


def operation(code: str) -> str:
    return str(OPERATIONS.get(code) or code.replace("_", " "))


def payment(method: str) -> str:
    return str(PAYMENTS.get(method, method))


def category(code: str) -> str:
    return str(CATEGORIES.get(code, ""))


# What `person` needs of an account.
NAMED = ("username", "first_name", "last_name")


def person(user: AbstractUser | None) -> str:
    return name_of(user) if user else ""


def hold(code: str) -> str:
    return str(Hold(code).label) if code in Hold.values else code


def service_label(kind: str) -> str:
    known = services().get(kind)
    return known.label if known else kind.replace("_", " ").title()


def span(delta: timedelta) -> str:
    """A length of time, in its one largest unit: "3 h", "2 days"."""
    seconds = int(abs(delta.total_seconds()))
    if seconds < 60:
        return _("%(count)s s") % {"count": seconds}
    if seconds < 3600:
        return _("%(count)s min") % {"count": seconds // 60}
    if seconds < 2 * 86400:
        return _("%(count)s h") % {"count": seconds // 3600}
    days = seconds // 86400
    return ngettext("%(count)s day", "%(count)s days", days) % {"count": days}


def ago(at: datetime | None) -> str:
    if at is None:
        return _("never")
    delta = timezone.now() - at
    if delta < timedelta(0):
        return _("in %(time)s") % {"time": span(delta)}
    return _("%(time)s ago") % {"time": span(delta)}


def soon(at: datetime) -> str:
    """When it comes; what should have begun moments ago comes now."""
    return ago(at) if at > timezone.now() else _("now")


def countdown(order: Order) -> tuple[str, str]:
    """(words, tone) for the time left to ship; empty where nothing is left to ship or no deadline is known."""
    if order.ship_by is None or order.status not in (OrderStatus.APPROVED, OrderStatus.INVOICED):
        return "", ""
    left = order.ship_by - timezone.now()
    if left < timedelta(0):
        return _("late by %(time)s") % {"time": span(left)}, "red"
    tone = "amber" if left < timedelta(hours=order.seller.risk_hours) else ""
    return _("%(time)s left") % {"time": span(left)}, tone


# --- Permissions ---------------------------------------------------------------------------------------------------

# A permission that ends within these is said wherever its connection is named.
ENDS_SOON, ENDS_NOW = timedelta(days=30), timedelta(days=7)


def permission(credential: Credential | None) -> tuple[str, str]:
    """(how long the service lets the hub in, tone); empty where nothing is known of an end."""
    if credential is None or credential.consent_until is None:
        return "", ""
    now = timezone.now()
    if tokens.renews_itself(credential, now):
        return _("renews itself"), ""
    day = date_format(timezone.localdate(credential.consent_until), "SHORT_DATE_FORMAT")
    left = credential.consent_until - now
    if left <= timedelta(0):
        return _("ended on %(date)s") % {"date": day}, "red"
    tone = "red" if left < ENDS_NOW else "amber" if left < ENDS_SOON else ""
    return _("ends on %(date)s, in %(time)s") % {"date": day, "time": span(left)}, tone


# --- Why is it not in the ERP yet? -----------------------------------------------------------------------------


def erp_state(
    order: Order, links: Iterable[Link], exports: Iterable[Job], erps: Sequence[Connection]
) -> dict[str, Any]:
    """Where the order stands with the ERP: {"text", "tone", "number"}; a number when it is there."""
    link = next(iter(links), None)
    if link is not None:
        return {"text": _("In the ERP as %(number)s") % {"number": link}, "tone": "green", "number": str(link)}
    found = standing(order, exports, erps)
    if found is None:
        return {"text": _("In the ERP"), "tone": "green", "number": ""}
    return {"text": why_not(found, order), "tone": _TONES_OF[found.obstacle], "number": ""}


_TONES_OF = {
    Obstacle.CANCELLED: "grey",
    Obstacle.HELD: "amber",
    Obstacle.UNPAID: "grey",
    Obstacle.REFUSED: "red",
    Obstacle.CLOSED: "grey",
    Obstacle.NO_ERP: "red",
    Obstacle.STOPPED: "red",
    Obstacle.PAUSED: "red",
    Obstacle.RESTING: "red",
    Obstacle.DOUBTFUL: "amber",
    Obstacle.RUNNING: "blue",
    Obstacle.FAILING: "amber",
    Obstacle.WAITING: "blue",
}
_WHY_NOT = {
    Obstacle.CANCELLED: gettext_lazy("Cancelled before it was needed there"),
    Obstacle.HELD: gettext_lazy("Held: %(reasons)s"),
    Obstacle.UNPAID: gettext_lazy("Waits for the payment"),
    Obstacle.REFUSED: gettext_lazy("Needs you: %(reason)s"),
    Obstacle.CLOSED: gettext_lazy("Handled by hand"),
    Obstacle.NO_ERP: gettext_lazy("No ERP is connected yet"),
    Obstacle.STOPPED: gettext_lazy("%(name)s is not running: %(state)s"),
    Obstacle.PAUSED: gettext_lazy("Sending to %(name)s is paused"),
    Obstacle.RESTING: gettext_lazy("%(name)s is not answering; next try %(when)s"),
    Obstacle.DOUBTFUL: gettext_lazy("The ERP gave no clear answer; we look there before anything is repeated"),
    Obstacle.RUNNING: gettext_lazy("Being sent now"),
    Obstacle.FAILING: gettext_lazy("Next try %(when)s: %(reason)s"),
    Obstacle.WAITING: gettext_lazy("Waits for its turn"),
}


def why_not(found: Standing, order: Order | None = None) -> str:
    """One sentence. `order`: whose holds are named."""
    values: dict[str, Any] = {}
    if order is not None:
        values["reasons"] = "; ".join(hold(code) for code in order.active_holds)
    if found.erp is not None:
        values |= {"name": found.erp.name, "state": found.erp.get_state_display(), "when": ago(found.erp.rest_until)}
    if found.job is not None:
        values["reason"] = stored(found.job.error)
    if found.job is not None and found.obstacle is Obstacle.FAILING:
        values["when"] = soon(found.job.due_at)
    return str(_WHY_NOT[found.obstacle]) % values
