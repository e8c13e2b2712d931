"""Amazon.com.br through the Selling Partner API (Orders 2026-01-01 for reading, v0 for shipment confirmation)."""

from datetime import timedelta

from connectors.contract import Capability, Field, Labels, Rate, Role, Service
from connectors.failures import Category, FailureTable, Fault, Verdict

_REAUTHORISE = (
    "Amazon no longer accepts this seller's authorisation. Authorise the application again in Seller Central."
)
_APPLICATION = "Amazon does not accept the application's client id or secret. A rotated secret has to be entered here."
_ROLE = (
    "Amazon denies this. The application lacks a role for it, the API is not enabled for the application, or the "
    "seller has withdrawn the authorisation."
)
_PLANNED = (
    "Amazon has planned the collection of this order already, and gives its label only once. Print it in Seller "
    "Central."
)
_STATE = (
    "Amazon does not allow this in the order's present state. It plans no collection before it has accepted the NF-e."
)

SERVICE = Service(
    kind="amazon",
    role=Role.CHANNEL,
    label="Amazon",
    adapter="connectors.channels.amazon.adapter:Amazon",
    mapping="connectors.channels.amazon.mapping:order",
    simulator="connectors.channels.amazon.simulator:AmazonSimulator",
    capabilities=frozenset(
        {
            Capability.CHANGES,
            Capability.FETCH,
            Capability.CENSUS,
            Capability.SEND_INVOICE,
            Capability.SEND_DISPATCH,
            Capability.CANCEL,
            Capability.LABEL,
            Capability.CONSENT,
            Capability.REFRESH,
            Capability.CHECK,
        }
    ),
    fields=(
        Field(
            "client_id", "LWA client id", in_vault=True, help="Of the application, from the Solution Provider Portal."
        ),
        Field("client_secret", "LWA client secret", secret=True),
        Field(
            "refresh_token",
            "Refresh token",
            secret=True,
            required=False,
            help="Private application: shown once when it is authorised. Otherwise sign in with the button.",
        ),
        Field("external_account", "Selling partner id", required=False),
        Field("application_id", "Application id", required=False, help="amzn1.sp.solution.…, for the consent page."),
        Field("marketplace_id", "Marketplace id", required=False, default="A2Q3Y263D00KWC"),
        Field(
            "self_ship_invoice",
            "NF-e of Self Ship orders",
            required=False,
            default="send",
            choices=(("send", "Send it"), ("skip", "Do not send it")),
            help="Whether Amazon wants it for these orders is not published.",
        ),
        Field(
            "fba_onsite",
            "Amazon-fulfilled orders leave from the seller's own warehouse (FBA Onsite)",
            required=False,
            default="no",
            choices=(("no", "No"), ("yes", "Yes")),
            help="An order does not tell FBA Onsite from FBA.",
        ),
        Field(
            "md5_format",
            "Digest of the NF-e",
            required=False,
            default="base64",
            choices=(("base64", "base64"), ("hex", "hex")),
            help="base64 as in the vendor's tutorial; hex if a live account refuses that.",
        ),
        Field(
            "default_carrier",
            "Carrier's name where the ERP gives none",
            required=False,
            help="Amazon requires one with every shipment.",
        ),
        Field(
            "label_format",
            "Labels",
            required=False,
            default="pdf",
            choices=(("pdf", "PDF"), ("zpl", "ZPL")),
            help="Of orders that Amazon's partner collects (DBA).",
        ),
        Field(
            "cancel_reason",
            "Reason that Amazon is given for a cancellation",
            required=False,
            default="NoInventory",
            choices=(
                ("NoInventory", "Out of stock"),
                ("ShippingAddressUndeliverable", "Nothing can be delivered to the address"),
                ("CustomerExchange", "The buyer wants something else"),
                ("BuyerCanceled", "The buyer asked for it"),
                ("PricingError", "Wrong price"),
            ),
            help="One code of Amazon's for all of them. That its feed takes these codes is not sure.",
        ),
        Field("poll_seconds", "Seconds between two polls", required=False, default="180"),
    ),
    hosts={
        "api": "https://sellingpartnerapi-na.amazon.com",
        "login": "https://api.amazon.com",
        "consent": "https://sellercentral.amazon.com.br",
    },
    rates=(
        Rate(0.0056, 20, ("searchOrders",)),
        Rate(0.5, 30, ("getOrder",)),
        Rate(2, 10, ("confirmShipment",)),
        Rate(1.133, 25, ("submitInvoice",)),
        Rate(1.133, 25, ("getInvoiceStatus",)),
        Rate(1.133, 25, ("submitShipmentInvoice",)),
        Rate(1.133, 25, ("getShipmentInvoiceStatus",)),
        Rate(1, 10, ("createRestrictedDataToken",)),
        Rate(1, 5, ("createScheduledPackageBulk",)),
        Rate(0.5, 15, ("createFeedDocument",)),
        Rate(0.0083, 15, ("createFeed",)),
        Rate(2, 15, ("getFeed",)),
        Rate(0.0222, 10, ("getFeedDocument",)),
    ),
    failures=FailureTable(
        by_code={
            "invalid_grant": Verdict(Category.AUTH, _REAUTHORISE),
            "invalid_client": Verdict(Category.AUTH, _APPLICATION),
            "unauthorized_client": Verdict(Category.AUTH, _APPLICATION),
            "invalid_scope": Verdict(Category.AUTH, _APPLICATION),
            # Of planning a collection: said of a whole call, and of one order in it.
            "ScheduledPackageAlreadyExists": Verdict(Category.REJECTED, _PLANNED),
            "InvalidOrderState": Verdict(Category.REJECTED, _STATE),
            "TimeSlotNotAvailable": Verdict(
                Category.REJECTED, "Amazon has no time left to collect this order. Plan it in Seller Central."
            ),
            "RegionNotSupported": Verdict(
                Category.REJECTED, "Amazon plans no collections by API in this region. Do it in Seller Central."
            ),
            "InternalServerError": Verdict(Category.TRANSIENT, "Amazon is failing at the moment."),
            "QuotaExceeded": Verdict(Category.RATE_LIMITED, "Amazon's quota for this operation is used up."),
        },
        by_status={
            400: Verdict(Category.REJECTED, "Amazon refused this request."),
            403: Verdict(Category.AUTH, _ROLE),
            404: Verdict(Category.REJECTED, "Amazon does not know this order: too old, or another seller's."),
            405: Verdict(Category.REJECTED, "Amazon does not allow this in the order's present state."),
            409: Verdict(Category.REJECTED, "Amazon does not allow this in the order's present state."),
            413: Verdict(Category.REJECTED, "The document is too large for Amazon."),
            415: Verdict(Category.BUG, "Amazon does not take this kind of content.", fault=Fault.HUB),
        },
    ),
    # One search per 179 seconds is all Amazon grants for good.
    poll_seconds=180,
    max_parallel=4,
    labels=Labels(frozenset({"DELIVERY_BY_AMAZON", "AMAZON_EASY_SHIP"}), of_orders=True),
    # Each year the seller has to authorise a public application anew; ordinary renewals do not change that.
    account_key="selling_partner_id",
    consent=timedelta(days=365),
    redact=frozenset(
        {"buyerEmail", "buyerName", "phone", "taxRegistrationNumber", "invoiceContent", "url", "printableDocumentsUrl"}
    ),
    docs="https://developer-docs.amazon.com/sp-api/docs/orders-api",
)
