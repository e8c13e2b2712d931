"""What an integration provides. A service is one folder; this is all it has to know of the hub.

* `Service`: what it is and can do, as data (`SERVICE` in the folder's `__init__.py`).
* `Channel` and `Erp`: the protocols its adapter implements. A capability that a service lacks is an absent
  method, and absent from `Service.capabilities`; the contract test holds the two against each other.
* Mapping is pure: functions from a raw document to canonical ones. No HTTP, no database, no clock.

An adapter is made anew for every piece of work as `Adapter(account, http)`, `http` being a `connectors.http.Client`.
It raises `failures.Failure` and nothing else; whatever else escapes it counts as a bug of ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from connectors.failures import FailureTable
from orders.documents import DispatchDocument, InvoiceDocument, OrderDocument

Cursor = dict[str, Any]
"""Where a service's list of changes was left: JSON, its content known to the service alone."""

Credentials = dict[str, Any]
"""Secrets of a connection, as stored in the vault: application and account keys, tokens, `expires_at` (ISO)."""


class Role(StrEnum):
    CHANNEL = "channel"
    ERP = "erp"


class Capability(StrEnum):
    """Each names the adapter's method that provides it."""

    CHANGES = "changes"
    FETCH = "fetch"
    CENSUS = "census"
    PUSH = "read_push"
    SEND_INVOICE = "send_invoice"
    SEND_DISPATCH = "send_dispatch"
    SEND_DELIVERY = "send_delivery"
    CANCEL = "cancel"
    LABEL = "label"
    FIND = "find"
    CREATE = "create"
    ITEMS = "items"
    CONSENT = "consent_url"
    REFRESH = "refresh"
    CHECK = "check"


@dataclass(frozen=True)
class Field:
    """One thing a person fills in to connect. Secret ones go to the vault and are never shown again.

    `in_vault`: no secret, but adapters look for it beside the secrets (an application's client id); it is stored
    there, too. `choices`: (value, label) of each possible answer, where there is a list of them.
    """

    name: str
    label: str
    secret: bool = False
    required: bool = True
    help: str = ""
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    in_vault: bool = False


@dataclass(frozen=True)
class Rate:
    """At most `burst` calls at once and `per_second` sustained, for the operations named by `operations`.

    Empty `operations` means every call. `scope` is `account` (each connection has its own) or `application` (all
    connections with the same client id share one).
    """

    per_second: float
    burst: int
    operations: tuple[str, ...] = ()
    scope: str = "account"


@dataclass(frozen=True)
class Labels:
    """`logistics`: words of `raw_logistics`: orders with one of them have a label; empty: all that the seller packs.
    `of_orders`: a label is asked for by the order, whose parcel the channel may not even have yet.
    """

    logistics: frozenset[str] = frozenset()
    of_orders: bool = False


@dataclass(frozen=True)
class Service:
    """A service as data: no import of its code happens until it is used.

    `adapter`, `mapping` and `simulator` are dotted paths `package.module:name`. `mapping` is the pure function
    `(raw: dict, settings: dict) -> OrderDocument` of a channel, or `-> SaleState` of an ERP. `poll_seconds` is the
    pause between two polls (shorter where much comes and nothing is pushed, see `polling`). `settle_seconds`: how long
    after an uncertain write the service may still be committing it, so that a search which finds nothing proves
    something only after that. `watch_seconds`: an ERP whose list of changes may miss some is re-read per open order at
    this interval (None: never); so is a channel.

    `consent`: how long a permission given on the service's own page lasts, where the service says so. `consent_renews`:
    each renewal of the tokens lets that time begin anew, so that only one nobody renews comes to its end.
    `account_key`: the credential that names the account, where signing in tells it: pushes are known by it.
    `labels`: of which orders a channel prints labels, and whether one is of a parcel or of the whole order.
    """

    kind: str
    role: Role
    label: str
    adapter: str
    mapping: str
    simulator: str = ""
    capabilities: frozenset[Capability] = frozenset()
    fields: tuple[Field, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    rates: tuple[Rate, ...] = ()
    failures: FailureTable = FailureTable()
    poll_seconds: int = 60
    settle_seconds: float = 5.0
    watch_seconds: int | None = None
    consent: timedelta | None = None
    consent_renews: bool = False
    account_key: str = ""
    labels: Labels = Labels()
    max_parallel: int = 4
    redact: frozenset[str] = frozenset()
    docs: str = ""


@dataclass(frozen=True)
class Account:
    """The connection an adapter works for. `settings` are the person's choices, without secrets.

    `hosts` are the service's addresses (`Service.hosts`), replaced one by one in simulator mode or for an own shop.
    `credentials` is a copy: changing it changes nothing.
    """

    id: int
    kind: str
    external_account: str
    settings: Mapping[str, Any]
    hosts: Mapping[str, str]
    credentials: Mapping[str, Any]
    redirect_uri: str = ""


@dataclass(frozen=True)
class Change:
    """Something the service lists as new or changed. `body` is the verbatim JSON of that one entry.

    `external_id` is what `fetch` takes. `complete`: the body alone maps to a canonical document, no call needed.
    `changed_by`: by this moment the document had changed, even where its entry looks as it did before.
    `patience`: seconds to wait before it is fetched, since what else announces it usually brings all of it.
    """

    external_id: str
    body: bytes
    complete: bool = False
    changed_by: datetime | None = None
    patience: float = 0.0


@dataclass(frozen=True)
class Page:
    """One page of changes. `more`: ask again at once with `cursor`; otherwise at the next poll."""

    changes: Sequence[Change]
    cursor: Cursor
    more: bool = False


@dataclass(frozen=True)
class Window:
    """A period to read again, whatever the cursor says: a backfill."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class PushRequest:
    """A push as it arrived: raw bytes, header names in lower case."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True)
class Announcement:
    """What a push says: this document of this account changed. The push is a hint; the document is fetched.

    `external_id` is what `fetch` takes; empty when the topic is of no use to us (stored and shown all the same).
    `account` is the service's own id of the account, for pushes that come for all sellers of one application.
    `event_id` is the service's own id of the event, for not storing the same one twice.
    """

    external_id: str
    topic: str = ""
    account: str = ""
    event_id: str = ""


class BadSignature(Exception):  # noqa: N818
    """The push is not from who it says it is from."""


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    ALREADY = "already"  # the service had it before
    NOT_NEEDED = "not_needed"  # this service does this step by itself
    UNDER_WAY = "under_way"  # the service has begun, and says later what came of it


@dataclass(frozen=True)
class Receipt:
    """A service's answer to something we told it. A refusal is a `Failure`, not a receipt.

    `external_id`: the service's id of what was made; of what is `UNDER_WAY`, how to ask for it again.
    """

    outcome: Outcome
    message: str = ""
    external_id: str = ""


@dataclass(frozen=True)
class Label:
    content: bytes
    content_type: str
    filename: str


@dataclass(frozen=True)
class Reference:
    """How an ERP must be able to find our order again.

    `number` is the channel's order number, for people; `channel` the sales channel's id and `label`. `hub_key` is
    unique in the whole hub and must be stored with the ERP order where a field for it exists: two channels may use
    the same number.
    """

    number: str
    channel: int
    channel_kind: str
    channel_label: str
    hub_key: str


@dataclass(frozen=True)
class ErpOrder:
    """An order as the ERP holds it. `reference` is what it says was ours; `cancelled` twins are reported too.

    The last four only of a census, where the list gives them: who it is for (`document` without its mask), the day it
    is dated, and the moment it was written.
    """

    external_id: str
    number: str = ""
    reference: str = ""
    hub_key: str = ""
    cancelled: bool = False
    total: Decimal | None = None
    raw_status: str = ""
    buyer: str = ""
    document: str = ""
    dated: date | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class ListedSale:
    """A sale as the channel's list shows it: no more of it than a comparison needs.

    `external_id` is what `fetch` takes; `part` is this entry's own id where a sale is listed in parts (a pack), else
    the same. `status` is the furthest `OrderStatus` that the list alone proves (a list that knows nothing of parcels
    says "approved" of what left long ago), empty where it proves none. `total` is what the buyer pays; with
    `freight_apart` all of it but a freight that the list does not show.
    """

    external_id: str
    part: str
    placed_at: datetime
    status: str = ""
    raw_status: str = ""
    total: Decimal | None = None
    freight_apart: bool = False


@dataclass(frozen=True)
class CensusPage:
    """One page of everything there is in a window. `more`: ask again with `cursor`."""

    rows: "Sequence[ListedSale] | Sequence[ErpOrder]"
    cursor: Cursor
    more: bool = False


@dataclass(frozen=True)
class SaleState:
    """What an ERP knows of one order now: the result of reading it.

    `reference` and `hub_key` say whose it is (empty when the ERP order is none of ours). `complete`: nothing more is
    expected of it (invoiced and dispatched, or cancelled).
    """

    external_id: str
    reference: str = ""
    hub_key: str = ""
    number: str = ""
    raw_status: str = ""
    cancelled: bool = False
    total: Decimal | None = None
    invoices: tuple[InvoiceDocument, ...] = ()
    dispatches: tuple[DispatchDocument, ...] = ()
    unknown: tuple[str, ...] = ()
    attention: str = ""
    complete: bool = False
    updated_at: datetime | None = None


@dataclass(frozen=True)
class ShipmentRef:
    """The part of an order that a message to the channel is about."""

    external_id: str
    carrier: str = ""
    service: str = ""
    tracking_code: str = ""
    tracking_url: str = ""
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None


class Channel(Protocol):
    """The full set; an adapter has those methods its service can provide (`Service.capabilities`)."""

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """What is new or changed since the cursor ({} at first: from `account.settings['start_at']`, ISO).

        With a window: what changed or was placed in it, page by page, the cursor holding the place.
        """

    def fetch(self, external_id: str, hint: bytes = b"", last: bytes = b"") -> bytes:
        """Everything a canonical order needs, as one JSON document that the mapping reads.

        `hint` is the body of the change that named it: whatever it already holds need not be asked again. `last` is
        what `fetch` gave for it before: nor need what cannot have changed since.
        """

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        """Every sale placed in the window (more does no harm), as `ListedSale`s; never a call for each."""

    def read_push(self, request: PushRequest) -> Sequence[Announcement]:
        """Raises `BadSignature`, or `Refusal` when the body cannot be read. Makes no call."""

    def send_invoice(self, order: OrderDocument, invoice: InvoiceDocument, shipment: ShipmentRef) -> Receipt: ...

    def send_dispatch(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt: ...

    def send_delivery(self, order: OrderDocument, shipment: ShipmentRef) -> Receipt: ...

    def cancel(self, order: OrderDocument, reason: str, under_way: str = "") -> Receipt:
        """Cancels the whole sale. `reason`: a person's words. May be called again for a sale that is cancelled.

        After an answer `UNDER_WAY` it is called again, with that answer's `external_id` as `under_way`. A `Refusal`
        ends that: the next call begins anew.
        """

    def label(self, order: OrderDocument, shipment: ShipmentRef) -> Label: ...


class Erp(Protocol):
    def find(self, reference: Reference) -> Sequence[ErpOrder]:
        """Every order the ERP has under this reference. Exact: an ignored filter must not return strangers."""

    def create(self, order: OrderDocument, reference: Reference) -> ErpOrder:
        """Creates it, once. The order's lines are what is left to deliver; cancelled quantities are gone.

        Never repeats a create by itself. An unknown SKU is a `Refusal` that names the SKU.
        """

    def cancel(self, external_id: str) -> Receipt: ...

    def changes(self, cursor: Cursor, window: Window | None = None) -> Page:
        """Changed ERP orders; `external_id` is the ERP order's id, whatever it was that changed."""

    def fetch(self, external_id: str, hint: bytes = b"") -> bytes:
        """The ERP order with its invoices (XML included where the ERP gives it) and dispatches, as one JSON."""

    def invoice_in(self, hint: bytes) -> tuple[str, bool] | None:
        """For an ERP that announces invoices apart from orders: (`InvoiceDocument.external_id`, whether cancelled) of
        an announcement that says no more than that; None where it may say more. Makes no call."""

    def census(self, cursor: Cursor, window: Window) -> CensusPage:
        """Every order dated or written in the window, cancelled ones too, as `ErpOrder`s; never a call for each."""

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        """SKU -> the ERP's product id, for those it knows."""


@runtime_checkable
class SignsIn(Protocol):
    """A service with OAuth. Tokens live in the vault; these functions only make and renew them."""

    def consent_url(self, state: str) -> str: ...

    def exchange(self, code: str, query: Mapping[str, str]) -> Credentials:
        """The vault's new content after consent. Called once; the code dies with it."""

    def refresh(self) -> Credentials:
        """The vault's new content, with `access_token` and `expires_at`. Called under the connection's lock."""

    def check(self) -> str:
        """A real, cheap call that proves the connection works; returns the account's name as the service has it."""
