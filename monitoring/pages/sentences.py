"""What connectors say with values in it ("Bling has no product with the code 'X'."), in the reader's language.

A sentence is stored as it was said, in English. Here it is recognised by its template and said again in Portuguese,
its values kept. One that no template knows is shown as it is; a test reads the connectors' code and finds those.
"""

import re
from functools import cache, lru_cache

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

TEMPLATES = (
    # Alerts
    gettext_noop("No owner of this seller has an e-mail address."),
    gettext_noop("This person has no e-mail address, or may not sign in any more."),
    gettext_noop("Every owner has chosen for themselves what they are mailed."),
    gettext_noop("The mail server refused it: %(answer)s"),
    gettext_noop("The mail server did not take it: %(answer)s"),
    gettext_noop("This is not an address."),
    gettext_noop("The other side could not be reached."),
    gettext_noop("It answered %(status)s: %(answer)s"),
    gettext_noop("It answered %(status)s."),
    # Every service
    gettext_noop("Another ERP may have this order already; that is being looked up there."),
    gettext_noop(
        "The ERP has several orders under this number: %(numbers)s. Cancel all but one there, then try again."
    ),
    gettext_noop(
        "Cancelled at the channel after the order went to the ERP: %(what)s. Correct the order there, then mark this "
        "as handled."
    ),
    gettext_noop(
        "The order was cancelled in the ERP, but the sale is not cancelled at the channel. Cancel it there, or enter it"
        " in the ERP again; then mark this as handled."
    ),
    gettext_noop("It is at work at this moment, or over already: look again."),
    gettext_noop(
        "You signed in to account %(account)s, but this connection is for %(own)s. Sign out at the service and in again"
        " with that one, or add a new connection."
    ),
    gettext_noop("Account %(account)s is connected already: %(connection)s."),
    gettext_noop("It is being sent at this moment. Look again in a minute."),
    gettext_noop("Somebody has handled this by hand: nothing more is sent. Try the step again to change that."),
    gettext_noop("The ERP has this order already: correct it there."),
    gettext_noop("The channel has accepted this parcel already."),
    gettext_noop("Replaced by NF-e %(number)s."),
    gettext_noop("Every line of this sale is cancelled: there is nothing to write into the ERP."),
    gettext_noop(
        "The ERP may have this order already, and it cannot be searched by the hub. Look for it there; if it is "
        "there, mark this as handled."
    ),
    gettext_noop(
        "This ERP cannot be told of a cancellation. Cancel the order there by hand, then mark this as handled."
    ),
    gettext_noop(
        "The ERP's second order of this sale has an invoice. Cancel both there by hand, then mark this as handled."
    ),
    gettext_noop(
        "The ERP has sale %(sale)s twice: as %(first)s and as %(second)s. Cancel one of them there, then mark this"
        " as handled."
    ),
    gettext_noop("Say why the sale is cancelled."),
    gettext_noop("This sale cannot be cancelled at its channel any more."),
    gettext_noop("The channel is being asked to cancel this sale already."),
    gettext_noop("The channel is being asked to cancel this sale: wait for its answer."),
    gettext_noop("The sale has left, or is over: it cannot be cancelled any more."),
    gettext_noop("The channel has not decided about the cancellation for a day. Look there."),
    gettext_noop("The service handed out an address that is not followed."),
    gettext_noop("is missing"),
    gettext_noop("expected text, found %(kind)s"),
    gettext_noop("expected a number, found %(kind)s"),
    gettext_noop("expected a whole number, found %(kind)s"),
    gettext_noop("expected true or false, found %(kind)s"),
    gettext_noop("expected a date and time, found %(kind)s"),
    gettext_noop("expected a list, found %(kind)s"),
    gettext_noop("expected an object, found %(kind)s"),
    gettext_noop("expected a list of texts"),
    gettext_noop("is not a plausible number"),
    gettext_noop("is not a plausible amount"),
    gettext_noop("is not a plausible quantity"),
    gettext_noop("has no time zone: %(value)s"),
    gettext_noop("is not a date and time: %(value)s"),
    gettext_noop("is not a date: %(value)s"),
    gettext_noop("is no time zone: %(value)s"),
    gettext_noop("%(value)s is no time zone"),
    gettext_noop("is no whole number: %(value)s"),
    gettext_noop("is not base64"),
    gettext_noop("is not a gzip file"),
    gettext_noop("is cut off or larger than any NF-e"),
    gettext_noop("must be above zero"),
    gettext_noop("The %(what)s is nested too deeply to be real."),
    gettext_noop("The %(what)s is not valid JSON: %(detail)s."),
    gettext_noop("The document is larger than %(size)s MB."),
    gettext_noop("The answer is larger than %(size)s MB and was not read."),
    gettext_noop("%(reason)s (%(count)s in all)"),
    gettext_noop("%(reason)s It said: %(answer)s"),
    gettext_noop("The service answered %(status)s with something that is not JSON: %(answer)s"),
    gettext_noop("The service answered %(status)s with JSON that is no object: %(answer)s"),
    gettext_noop("No complete answer within %(seconds)s seconds."),
    gettext_noop("The connection failed: %(detail)s"),
    gettext_noop("%(address)s is not an address."),
    gettext_noop("This connection has not been signed in yet."),
    gettext_noop("%(kind)s names no host %(host)s."),
    gettext_noop("The mapping of %(service)s gave no order."),
    gettext_noop("Job %(job)s names no order."),
    gettext_noop("No service %(kind)s is installed. Known: %(known)s."),
    gettext_noop("The ERP's order %(number)s already belongs to another order of this hub."),
    gettext_noop("The ids of %(number)s belong to two orders: %(first)s and %(second)s."),
    gettext_noop("Connections to private or local addresses are not allowed."),
    # What pydantic says of canonical documents
    gettext_noop("Field required"),
    gettext_noop("Extra inputs are not permitted"),
    gettext_noop("Input should be a valid string"),
    gettext_noop("String should have at least %(count)s character"),
    gettext_noop("String should have at least %(count)s characters"),
    gettext_noop("String should have at most %(count)s character"),
    gettext_noop("String should have at most %(count)s characters"),
    gettext_noop("String should match pattern %(pattern)s"),
    gettext_noop("Input should be greater than %(least)s"),
    gettext_noop("Input should be greater than or equal to %(least)s"),
    gettext_noop("Input should be less than %(most)s"),
    gettext_noop("Input should be less than or equal to %(most)s"),
    gettext_noop("Input should be a finite number"),
    gettext_noop("Decimal input should be an integer, float, string or Decimal object"),
    gettext_noop("Input should be a valid decimal"),
    gettext_noop("Decimal input should have no more than %(count)s digit in total"),
    gettext_noop("Decimal input should have no more than %(count)s digits in total"),
    gettext_noop("Decimal input should have no more than %(count)s decimal place"),
    gettext_noop("Decimal input should have no more than %(count)s decimal places"),
    gettext_noop("Decimal input should have no more than %(count)s digit before the decimal point"),
    gettext_noop("Decimal input should have no more than %(count)s digits before the decimal point"),
    gettext_noop("Input should be a valid datetime"),
    gettext_noop("Input should be a valid datetime, %(detail)s"),
    gettext_noop("Input should have timezone info"),
    gettext_noop("Input should be %(choices)s"),
    gettext_noop("Input should be a valid boolean"),
    gettext_noop("Input should be a valid integer"),
    gettext_noop("Input should be a valid tuple"),
    gettext_noop("Input should be a valid list"),
    gettext_noop("Input should be a valid dictionary"),
    gettext_noop("Tuple should have at least %(least)s item after validation, not %(count)s"),
    gettext_noop("Value should have at least %(least)s item after validation, not %(count)s"),
    gettext_noop("Value error, %(reason)s"),
    # Mercado Livre
    gettext_noop("This is an account of site %(site)s; only %(ours)s, Brazil, is supported."),
    gettext_noop("This push is for another application."),
    gettext_noop("Mercado Livre's own biller issues this sale's invoice."),
    gettext_noop("The sale has no shipment at Mercado Livre, so there is no label."),
    gettext_noop("The sale has no shipment at Mercado Livre."),
    gettext_noop("Mercado Livre runs this parcel and knows where it is."),
    gettext_noop("Mercado Livre has the shipment as %(status)s."),
    gettext_noop("Mercado Livre did not give its consent: %(answer)s."),
    gettext_noop("This Mercado Livre account has not been connected yet."),
    gettext_noop("Mercado Livre names no order for shipment %(shipment)s yet."),
    gettext_noop("Mercado Livre knows no order or pack %(number)s, or not yet."),
    gettext_noop("Mercado Livre does not show shipment %(shipment)s yet."),
    gettext_noop("Mercado Livre does not take the invoice yet: the shipment is %(status)s."),
    gettext_noop("Mercado Livre holds another invoice for this shipment: %(key)s."),
    gettext_noop("The shipment takes no invoice any more (%(status)s), and Mercado Livre has none."),
    gettext_noop("The NF-e's XML is missing: Mercado Livre takes nothing else."),
    gettext_noop("Mercado Livre takes NF-e of model 55 only; this is model %(model)s."),
    gettext_noop("The XML is no nfeProc: SEFAZ's authorisation is missing in it."),
    gettext_noop("This NF-e was issued for testing (tpAmb 2); Mercado Livre refuses it."),
    gettext_noop("The NF-e's XML is larger than the 1 MB that Mercado Livre takes."),
    gettext_noop("Mercado Livre holds another file for this sale: %(names)s."),
    gettext_noop("holds no order"),
    gettext_noop("%(reason)s (%(place)s)"),
    # Amazon
    gettext_noop("Amazon's list of orders holds no list."),
    gettext_noop(
        "Amazon requires the carrier's name, and the ERP gave none. Choose a default carrier for this connection."
    ),
    gettext_noop("Amazon takes no more changes of this parcel."),
    gettext_noop("Amazon shows this order as shipped already."),
    gettext_noop("Amazon shows this order as shipped already (%(codes)s)."),
    gettext_noop("An item of this order is cancelled at Amazon. Stop the parcel."),
    gettext_noop("Amazon requires a tracking code with every shipment, and the ERP gave none."),
    gettext_noop("Amazon ships this order itself."),
    gettext_noop("Amazon's partner collects this order and reports it."),
    gettext_noop("Amazon confirms orders of this program by itself."),
    gettext_noop("Amazon has this parcel."),
    gettext_noop("Amazon has cancelled this order. Stop the parcel."),
    gettext_noop("Amazon shows nothing of this order that is left to ship."),
    gettext_noop(
        "An item of this order needs Transparency codes, which the ERP does not give. Confirm it in Seller Central"
        " and mark this as handled."
    ),
    gettext_noop(
        "Amazon denies sending the NF-e by API: the application needs the role Tax Invoicing, and Amazon must have"
        " enabled the Delivery-by-Amazon API for it. Until then, upload the XML in Seller Central and mark this as"
        " handled."
    ),
    gettext_noop("Amazon takes the NF-e as its XML, and the ERP gave none."),
    gettext_noop("Amazon has accepted an NF-e for this order."),
    gettext_noop("Amazon is validating an NF-e for this order."),
    gettext_noop(
        "Amazon refused the NF-e after validating it. Seller Central shows the reason; correct it and send it again."
    ),
    gettext_noop("Received by Amazon, which now validates it."),
    gettext_noop("Amazon issues the invoice of orders from its own warehouse."),
    gettext_noop("Amazon does not require the NF-e of this order."),
    gettext_noop("This connection does not send the NF-e of Self Ship orders."),
    gettext_noop("Amazon ships this order and prints its label itself."),
    gettext_noop("Amazon has no label for orders that your own carrier takes. Print the hub's own."),
    gettext_noop("Amazon shows this order as %(status)s: there is nothing left to send."),
    gettext_noop("Amazon lets this label be printed later."),
    gettext_noop("Amazon's times for collecting have changed."),
    gettext_noop("Amazon planned the collection and handed out no label."),
    gettext_noop(
        "Amazon denies planning the collection by API: the application needs the role Direct-to-Consumer Shipping."
        " Until then, plan it and print the label in Seller Central."
    ),
    gettext_noop(
        "Amazon denies this by API: the application needs the roles Direct-to-Consumer Shipping and Inventory and Order"
        " Tracking. Until then, do it in Seller Central and mark this as handled."
    ),
    gettext_noop("Amazon refused the feed, as it does where a seller's account is inactive. It said: %(answer)s"),
    gettext_noop("Amazon's report of the feed cannot be read."),
    gettext_noop("Amazon shows this order as cancelled."),
    gettext_noop("Amazon shows nothing of this order that is left to cancel."),
    gettext_noop("Amazon is working on the cancellation."),
    gettext_noop("Amazon has taken the cancellation."),
    gettext_noop("Amazon has not cancelled the whole order. It said: %(answer)s"),
    gettext_noop("Amazon ships this order itself: only the buyer or Amazon can cancel it."),
    gettext_noop("Amazon shows this order as sent: it cannot be cancelled any more."),
    gettext_noop("is NON_AMAZON: sold elsewhere and only shipped by Amazon"),
    gettext_noop("is another marketplace than this connection's %(marketplace)s"),
    # Bling
    gettext_noop("Bling did not search by the order number, which proves nothing."),
    gettext_noop("The order was deleted in Bling."),
    gettext_noop("The order was cancelled in Bling before."),
    gettext_noop("Its NF-e has to be cancelled by hand in Bling: there is no call for that."),
    gettext_noop("The line has no SKU."),
    gettext_noop("The Bling account has no active form of payment."),
    gettext_noop("Bling accepted it but did not say its id: %(detail)s"),
    gettext_noop("Bling has no product with the code %(sku)s."),
    gettext_noop("Bling has several products with the code %(sku)s: %(names)s."),
    gettext_noop("Bling did not give its consent: %(answer)s."),
    gettext_noop("This Bling account has not been connected yet."),
    gettext_noop("names no list of Bling"),
    gettext_noop("is missing, and the parcel has left"),
    gettext_noop("The order's total would be %(total)s: its discount exceeds it."),
    gettext_noop("Bling invoices only with the buyer's CPF or CNPJ, and this order has none."),
    gettext_noop("Bling needs the buyer's name."),
    gettext_noop("The push does not carry the signature of this application's client secret."),
    # Tryton
    gettext_noop("Tryton's company sells in %(currency)s, this order is in %(other)s."),
    gettext_noop("Sale %(sale)s was created in Tryton, but could not be confirmed. %(reason)s"),
    gettext_noop("Tryton left sale %(sale)s in state %(state)s after %(button)s."),
    gettext_noop("Tryton has no sale %(sale)s."),
    gettext_noop("Tryton had cancelled this sale before."),
    gettext_noop("Tryton left sale %(sale)s uncancelled: %(state)s."),
    gettext_noop("Cancelled in Tryton: %(state)s."),
    gettext_noop("Sale %(sale)s is %(what)s already: settle it in Tryton."),
    gettext_noop("Tryton's list of %(model)s is no list of records."),
    gettext_noop("Tryton has no product with the code %(sku)s."),
    gettext_noop("Tryton has %(count)s products with the code %(sku)s."),
    gettext_noop("Tryton's product %(sku)s is not salable."),
    gettext_noop("Tryton's answer names no new record: %(answer)s"),
    gettext_noop("%(id)s is no id of a sale in Tryton."),
    gettext_noop("The lines are worth %(listed)s at list price, but the order says %(items)s."),
    gettext_noop("The total of %(total)s is no whole number of cents."),
    gettext_noop("has no SKU, so Tryton's product cannot be told"),
    gettext_noop("This connection does not say which Tryton database to use."),
    gettext_noop("Tryton keeps asking questions when %(button)s is pressed."),
    gettext_noop("There is no Tryton server at this address."),
    gettext_noop("Tryton did not accept this login."),
    gettext_noop("Tryton answered without a result: %(answer)s"),
    gettext_noop("This Tryton user has no company: add one under its preferences, or it may create nothing."),
    gettext_noop("Tryton sent something else than an object: %(value)s"),
    gettext_noop("Tryton sent a date whose %(part)s is no number: %(value)s"),
)
# Values that are words of ours.
WORDS = (
    gettext_noop("null"),
    gettext_noop("text"),
    gettext_noop("true/false"),
    gettext_noop("a number"),
    gettext_noop("a list"),
    gettext_noop("an object"),
    gettext_noop("invoiced"),
    gettext_noop("sent"),
    gettext_noop("document"),
)
# These hold a sentence of their own.
_SENTENCES = frozenset({"reason"})
# `Failure` puts the JSON path of the offending value before its sentence.
_PATH = re.compile(r"(?P<path>\$\S*|[a-z_]\w*(?:\.\w+)*|[A-Z]\w*(?:\.\w+)+): (?P<reason>.+)", re.DOTALL)
_VALUE = re.compile(r"%\((\w+)\)s")


def translated(text: str) -> str:
    """The stored sentence in the reader's language."""
    said = _(text)
    if said != text:
        return said
    if path := _PATH.fullmatch(text):
        reason = translated(path["reason"])
        # A whole sentence comes first; a few words ("is missing") need to know of what.
        return f"{reason} ({path['path']})" if reason[:1].isupper() else f"{path['path']}: {reason}"
    found = recognised(text)
    if found is not None:
        template, values = found
        return _(template) % {name: _value(name, value) for name, value in values}
    return text


def _value(name: str, value: str) -> str:
    if name in _SENTENCES:
        return translated(value)
    return _(value) if value in WORDS else value


@lru_cache(maxsize=4096)
def recognised(text: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """(template, its values by name) of the most specific template that this sentence can come from."""
    for template, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return template, tuple(match.groupdict().items())
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Those with the most text of their own first."""
    ordered = sorted(TEMPLATES, key=lambda template: len(_VALUE.sub("", template)), reverse=True)
    return [(template, re.compile(_expression(template), re.DOTALL)) for template in ordered]


def _expression(template: str) -> str:
    parts = _VALUE.split(template)
    return "".join(f"(?P<{part}>.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
