"""Bling ERP, API v3. What the service is, as data; its quirks are in this folder's README."""

from datetime import timedelta

from connectors.contract import Capability, Field, Rate, Role, Service
from connectors.failures import Category, FailureTable, Fault, Verdict

_SIGN_IN = Verdict(Category.AUTH, "Bling ended this connection's consent: connect the account again.")
_SCOPE = Verdict(
    Category.AUTH, "The application lacks a permission in Bling: add the scope there and connect the account again."
)

SERVICE = Service(
    kind="bling",
    role=Role.ERP,
    label="Bling",
    adapter="connectors.erps.bling.adapter:Bling",
    mapping="connectors.erps.bling.mapping:sale_state",
    simulator="connectors.erps.bling.simulator:BlingSimulator",
    capabilities=frozenset(
        {
            Capability.CHANGES,
            Capability.FETCH,
            Capability.CENSUS,
            Capability.PUSH,
            Capability.FIND,
            Capability.CREATE,
            Capability.CANCEL,
            Capability.ITEMS,
            Capability.CONSENT,
            Capability.REFRESH,
            Capability.CHECK,
        }
    ),
    fields=(
        Field("client_id", "Client id", in_vault=True, help="Of the application registered in Bling."),
        Field("client_secret", "Client secret", secret=True),
        Field(
            "payment_form",
            "Payment form id",
            required=False,
            help="Of every order's instalment. Empty: the account's default form.",
        ),
    ),
    hosts={"api": "https://api.bling.com.br", "consent": "https://www.bling.com.br"},
    # Both limits count every application of the account. The day's is a bucket that fills over the day; when other
    # applications used it up, Bling says so and the account rests until midnight.
    rates=(Rate(per_second=3, burst=3), Rate(per_second=120_000 / 86_400, burst=10_000)),
    failures=FailureTable(
        by_code={
            "invalid_grant": _SIGN_IN,
            "invalid_client": Verdict(Category.AUTH, "Bling does not know this client id and secret."),
            "insufficient_scope": _SCOPE,
            "FORBIDDEN": _SCOPE,
            # Bling gives this for its own troubles too; whether a write happened is not said.
            "UNKNOWN_ERROR": Verdict(Category.TRANSIENT, "Bling failed without saying why.", certain=False),
            "daily_limit": Verdict(Category.RATE_LIMITED, "The account's calls of this day are used up."),
            "METHOD_NOT_ALLOWED": Verdict(Category.BUG, "Bling does not know this call.", fault=Fault.HUB),
        },
        by_status={
            404: Verdict(Category.REJECTED, "Bling does not have this (any more)."),
            405: Verdict(Category.BUG, "Bling does not know this call.", fault=Fault.HUB),
        },
    ),
    poll_seconds=60,
    settle_seconds=10.0,
    # Whether an NF-e or a tracking code moves the order's alteration date is not documented.
    watch_seconds=300,
    max_parallel=4,
    # A refresh token lives 30 days; each is replaced when it is used.
    consent=timedelta(days=30),
    consent_renews=True,
    docs="https://developer.bling.com.br",
)
