"""Tryton, the open-source ERP, over its JSON-RPC: 7.0 LTS proven against a real server, 8.0 by its documentation."""

from connectors.contract import Capability, Field, Role, Service
from connectors.failures import Category, FailureTable, Fault, Verdict

SERVICE = Service(
    kind="tryton",
    role=Role.ERP,
    label="Tryton",
    adapter="connectors.erps.tryton.adapter:Tryton",
    mapping="connectors.erps.tryton.mapping:sale_state",
    capabilities=frozenset(
        {
            Capability.FIND,
            Capability.CREATE,
            Capability.CANCEL,
            Capability.CHANGES,
            Capability.FETCH,
            Capability.CENSUS,
            Capability.ITEMS,
            Capability.REFRESH,
            Capability.CHECK,
        }
    ),
    fields=(
        Field("database", "Database", help="The name that the login window of Tryton shows."),
        Field("login", "Login", help="A user of its own for the hub, with the company and the groups of the README."),
        Field("password", "Password", secret=True),
        Field("freight_sku", "Product for freight", required=False, default="FRETE", help="A service product."),
        Field("interest_sku", "Product for interest", required=False, default="JUROS"),
        Field("other_sku", "Product for other amounts", required=False, default="OUTROS"),
        Field("adjustment_sku", "Product for discounts", required=False, default="DESCONTO"),
        Field(
            "confirm",
            "Confirm sales",
            required=False,
            default="true",
            choices=(("true", "Yes"), ("false", "No, stop at the quotation")),
        ),
        Field("payment_term", "Payment term", required=False, help="Its id in Tryton; empty: none."),
        Field("currency", "Currency of the company", required=False, default="BRL"),
        Field("timezone", "Time zone of the company", required=False, default="America/Sao_Paulo"),
        Field("tracking_url", "Tracking address", required=False, help="With {code} where the tracking code goes."),
        Field("session_seconds", "Idle session", required=False, default="300", help="The server's session.timeout."),
    ),
    # Every installation has an address of its own.
    hosts={"api": ""},
    failures=FailureTable(
        by_code={
            "UserError": Verdict(Category.REJECTED, "Tryton refused this.", certain=True),
            "UserWarning": Verdict(Category.REJECTED, "Tryton asks a question for a person to answer.", certain=True),
            "ConcurrencyException": Verdict(Category.TRANSIENT, "Somebody else changed the record.", certain=True),
            "LoginException": Verdict(Category.AUTH, "Tryton wants more than a password for this login."),
            "RateLimitException": Verdict(Category.RATE_LIMITED, "Tryton has seen too many failed logins."),
            "locked": Verdict(Category.TRANSIENT, "Tryton's database is busy.", certain=True),
            "unknown_name": Verdict(Category.BUG, "Tryton does not know a field that the hub asked for.", certain=True),
            "exception": Verdict(Category.REJECTED, "Tryton failed at this.", Fault.SERVICE, certain=True),
        },
        by_status={
            403: Verdict(Category.AUTH, "Tryton does not let this user call this, or lacks a module."),
            404: Verdict(Category.AUTH, "There is no Tryton database of this name at this address."),
            429: Verdict(Category.RATE_LIMITED, "Tryton has seen too many failed logins and refuses all for a while."),
        },
    ),
    poll_seconds=30,
    docs="https://docs.tryton.org/",
)
