"""The canonical order as rows. Facts are written once; state is derived from them (see `lifecycle`)."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest, Upper
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from hub.models import Membership, Seller
from orders.calendar import Calendar, of_channel
from orders.vocabulary import Hold, LineChange, Logistics, OrderStatus, PaymentStatus, ShipmentStatus

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


def money(label: "str | StrPromise") -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(label, max_digits=14, decimal_places=4, default=Decimal(0))


def pieces(label: "str | StrPromise") -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(label, max_digits=12, decimal_places=4, default=Decimal(0))


def last_step() -> Greatest:
    """When an order last came a step further. The same expression in the index and in what asks for it."""
    steps = ("approved_at", "exported_at", "invoiced_at", "shipped_at")
    return Greatest(*(Coalesce(F(step), F("placed_at")) for step in steps))


class SalesChannel(models.Model):
    """Where sales come from: one seller's account at one marketplace or shop."""

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="channels")
    kind = models.CharField(_("service"), max_length=40)
    name = models.CharField(_("name"), max_length=80)
    # How far an order's parts may miss its total, in units of the currency for each line.
    tolerance = models.DecimalField(_("tolerance per line"), max_digits=6, decimal_places=4, default=Decimal("0.01"))
    # Working days and hours of whoever ships this channel's orders: see `orders.calendar.Calendar`.
    calendar = models.JSONField(_("calendar"), default=dict, blank=True)

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")

    def __str__(self) -> str:
        return self.name

    @cached_property
    def working_time(self) -> Calendar:
        """Read once for all orders of a page."""
        return of_channel(self.calendar)

    @cached_property
    def rules(self) -> "list[Rule]":
        """Read once for all orders of a page, and only where one of them is new or has changed."""
        return list(Rule.objects.filter(seller=self.seller_id, active=True).in_force())


class Order(models.Model):
    """One sale: what is paid, invoiced and shipped together."""

    # The indexes below begin with these two: an index of each alone would only slow writing down.
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="orders", db_index=False)
    channel = models.ForeignKey(
        SalesChannel, models.PROTECT, related_name="orders", verbose_name=_("channel"), db_index=False
    )
    external_id = models.CharField(_("order"), max_length=120)
    # The newest document's version and content: an older one changes nothing but the facts it alone knows.
    version_at = models.DateTimeField()
    content_hash = models.CharField(max_length=64)

    status = models.CharField(_("status"), max_length=12, choices=OrderStatus, default=OrderStatus.PENDING)
    raw_status = models.CharField(_("channel's status"), max_length=120, blank=True)
    payment_status = models.CharField(_("payment"), max_length=20, choices=PaymentStatus, default=PaymentStatus.UNKNOWN)
    logistics = models.CharField(_("logistics"), max_length=10, choices=Logistics, default=Logistics.UNKNOWN)
    raw_logistics = models.CharField(max_length=120, blank=True)
    # Reasons to wait (`Hold`), and those a person has decided to overrule.
    holds = models.JSONField(default=list, blank=True)
    released_holds = models.JSONField(default=list, blank=True)
    held = models.BooleanField(_("held"), default=False)
    # "path: value" of words outside the known vocabulary.
    unknown = models.JSONField(default=list, blank=True)
    tags = models.JSONField(default=list, blank=True)
    # Those of them that people gave: no document of the channel takes them away.
    own_tags = models.JSONField(default=list, blank=True, editable=False)
    # Numbers that people gave it elsewhere: the ERP order or the NF-e they made by hand.
    own_references = models.JSONField(default=list, blank=True, editable=False)
    # Who sees to it, as a person or a rule said.
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False,
        verbose_name=_("responsible"),
    )  # fmt: skip
    # Keys of the rules that have acted on it, and the points that they add to its priority.
    ruled = models.JSONField(default=list, blank=True, editable=False)
    boost = models.SmallIntegerField(default=0, editable=False)
    # What people corrected, laid over what channel and ERP say (see `corrections`).
    corrections = models.JSONField(default=dict, blank=True, editable=False)
    notes = models.TextField(blank=True)

    placed_at = models.DateTimeField(_("placed"))
    approved_at = models.DateTimeField(_("approved"), null=True, blank=True)
    exported_at = models.DateTimeField(_("in the ERP since"), null=True, blank=True)
    invoiced_at = models.DateTimeField(_("invoiced"), null=True, blank=True)
    shipped_at = models.DateTimeField(_("shipped"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    returned_at = models.DateTimeField(_("returned"), null=True, blank=True)
    ship_by = models.DateTimeField(_("ship by"), null=True, blank=True)
    deliver_by = models.DateTimeField(_("deliver by"), null=True, blank=True)
    # The channel named no time to ship by: it was reckoned by the channel's calendar.
    ship_by_reckoned = models.BooleanField(default=False)
    # The promise the buyer was first given; the channel may move it.
    first_deliver_by = models.DateTimeField(null=True, blank=True)
    # The version of the document that gave it: documents come in any order.
    first_promised_at = models.DateTimeField(null=True, blank=True)
    # The last news of its parcels: a scan, or a document of the channel that has one on the way. None: never seen.
    moved_at = models.DateTimeField(null=True, blank=True)

    buyer = models.JSONField(default=dict, blank=True)
    ship_to = models.JSONField(default=dict, blank=True)
    bill_to = models.JSONField(default=dict, blank=True)
    buyer_name = models.CharField(_("buyer"), max_length=255, blank=True)
    city = models.CharField(_("city"), max_length=255, blank=True)
    state = models.CharField(_("state"), max_length=2, blank=True)

    currency = models.CharField(max_length=3, default="BRL")
    items_total = money(_("items"))
    discount = money(_("discount"))
    freight = money(_("freight"))
    interest = money(_("interest"))
    other = money(_("other charges"))
    subsidy = money(_("paid by the marketplace"))
    total = money(_("total"))
    fees = money(_("commission"))
    freight_cost = money(_("freight cost"))
    # total - (items - discount + freight + interest + other - subsidy); not zero: the amounts do not close.
    difference = money(_("difference"))

    # The same for all orders of one buyer, whatever the channel; empty where the channel withholds the document.
    buyer_key = models.CharField(max_length=16, blank=True, default="", editable=False)
    # The part of its priority that the clock does not change; empty until it is weighed (`priority.rank`).
    worth = models.FloatField(null=True, blank=True, editable=False)

    # Lower-case: every number, the buyer's name and document, SKUs. One column, one index, one search.
    search = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(_("received"), default=timezone.now, editable=False)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="one_order_per_sale"),
        ]
        indexes = [
            models.Index(fields=["seller", "-placed_at"], name="order_newest"),
            models.Index(fields=["seller", "status", "-placed_at"], name="order_by_status"),
            models.Index(fields=["channel", "-placed_at"], name="order_by_channel"),
            models.Index(fields=["seller", "state", "-placed_at"], name="order_by_state"),
            models.Index(F("seller"), Upper("city"), F("placed_at").desc(), name="order_by_city"),
            models.Index(fields=["seller", "logistics", "-placed_at"], name="order_by_logistics"),
            # With all that the reports count by: they are answered by the index alone.
            models.Index(
                fields=["seller", "ship_by", "channel", "status", "logistics", "exported_at"],
                name="order_to_ship",
                condition=Q(status__in=["approved", "invoiced"]),
            ),
            models.Index(
                fields=["seller", "deliver_by", "moved_at", "channel"],
                name="order_on_the_way",
                condition=Q(status="shipped", cancelled_at=None),
            ),
            models.Index(
                F("seller"),
                F("status"),
                last_step(),
                name="order_standing",
                condition=Q(status__in=["approved", "invoiced", "shipped"]),
            ),  # fmt: skip
            models.Index(fields=["seller", "buyer_key"], name="order_of_buyer", condition=~Q(buyer_key="")),
            models.Index(
                fields=["id"], name="order_unweighed", condition=Q(worth=None, status__in=["approved", "invoiced"])
            ),
            models.Index(fields=["seller"], name="order_held", condition=Q(held=True)),
            models.Index(
                fields=["assignee", "-placed_at"], name="order_of_assignee", condition=Q(assignee__isnull=False)
            ),
            models.Index(fields=["seller", "ship_by"], name="order_by_deadline"),
            models.Index(fields=["seller", "-total"], name="order_by_value"),
            models.Index(
                fields=["seller", "approved_at"],
                name="order_untransmitted",
                condition=Q(exported_at=None, status__in=["approved", "invoiced", "shipped", "delivered"]),
            ),
        ]

    def __str__(self) -> str:
        return self.external_id

    @property
    def closes(self) -> bool:
        """Whether the parts add up to the total, within the channel's tolerance (`Hold.MONEY` says no)."""
        return Hold.MONEY not in self.holds

    @property
    def erp_total(self) -> Decimal:
        """What the sale is worth to the seller's books: the total, and what the marketplace adds to it."""
        return self.total + self.subsidy

    @property
    def active_holds(self) -> list[str]:
        return [hold for hold in self.holds if hold not in self.released_holds]


class RuleQuerySet(models.QuerySet["Rule"]):
    def in_force(self) -> "RuleQuerySet":
        """In their order, with what `rules.act` asks for: whether the person they name still belongs to the seller."""
        member = Membership.objects.filter(user=OuterRef("assignee"), seller=OuterRef("seller"))
        return self.annotate(assignable=Exists(member)).order_by("position", "pk")


class Rule(models.Model):
    """What a seller wants done with orders of a certain kind; see `rules`."""

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="rules")
    name = models.CharField(_("name"), max_length=60)
    position = models.PositiveSmallIntegerField(default=0)
    active = models.BooleanField(_("switched on"), default=True)
    # Condition (`rules.CONDITIONS`) -> what it asks for. All must be true.
    when = models.JSONField(default=dict)
    tags = models.JSONField(default=list, blank=True)
    hold = models.BooleanField(default=False)
    # Why it holds, for whoever releases.
    reason = models.CharField(max_length=200, blank=True)
    boost = models.SmallIntegerField(default=0)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    # Of those that `in_force` gave.
    assignable: bool

    objects = RuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")

    def __str__(self) -> str:
        return self.name


class OrderReference(models.Model):
    """Every channel id a sale is made of leads to its one order."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="references")
    channel = models.ForeignKey(SalesChannel, models.CASCADE, related_name="+", db_index=False)
    value = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "value"], name="one_order_per_channel_id")]

    def __str__(self) -> str:
        return self.value


class OrderItem(models.Model):
    """A line as it was sold. What became of it is in `LineEvent`."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="items", db_index=False)
    # Empty: the order's newest document holds this row. Otherwise the version of the newest one that did.
    last_seen_at = models.DateTimeField(null=True, blank=True)
    external_id = models.CharField(max_length=120)
    order_reference = models.CharField(max_length=120, blank=True)
    sku = models.CharField("SKU", max_length=120, blank=True)
    # What a person says the ERP calls it, where the channel's SKU is unknown there; the channel's stays as it is.
    erp_sku = models.CharField(_("SKU in the ERP"), max_length=120, blank=True)
    title = models.CharField(_("title"), max_length=255, blank=True)
    quantity = pieces(_("quantity"))
    unit_price = money(_("unit price"))
    discount = money(_("discount"))
    fee = money(_("commission"))
    gtin = models.CharField(max_length=120, blank=True)
    image_url = models.TextField(blank=True)
    shipment_reference = models.CharField(max_length=120, blank=True)
    # Sums over the line's events, kept by the ingest door alone.
    cancelled = pieces(_("cancelled"))
    refunded = pieces(_("refunded"))
    returned = pieces(_("returned"))

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="one_line_per_source_line")]
        # Which orders have it is answered by the index alone.
        indexes = [models.Index(fields=["sku", "order"], name="item_of_sku")]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} × {self.sku or self.title}"

    @property
    def left(self) -> Decimal:
        """What is still to deliver."""
        return max(self.quantity - self.cancelled, Decimal(0))

    @property
    def total(self) -> Decimal:
        return self.quantity * self.unit_price - self.discount


class LineEvent(models.Model):
    """The ledger of a line after it was sold. Negative quantities take an earlier event back."""

    item = models.ForeignKey(OrderItem, models.CASCADE, related_name="events")
    change = models.CharField(max_length=10, choices=LineChange)
    quantity = pieces(_("quantity"))
    at = models.DateTimeField()
    source = models.CharField(max_length=10)
    reason = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.get_change_display()} {self.quantity.normalize():f}"


class Payment(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="payments", db_index=False)
    # Empty: the order's newest document holds this row. Otherwise the version of the newest one that did.
    last_seen_at = models.DateTimeField(null=True, blank=True)
    external_id = models.CharField(max_length=120)
    method = models.CharField(max_length=120, blank=True)
    raw_status = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=20, choices=PaymentStatus, default=PaymentStatus.UNKNOWN)
    amount = money(_("amount"))
    refunded = money(_("refunded"))
    installments = models.PositiveSmallIntegerField(default=1)
    authorization = models.CharField(max_length=120, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="one_payment_per_source")]

    def __str__(self) -> str:
        return f"{self.method} {self.amount}"


class Answer(models.TextChoices):
    """What the channel said to something we told it."""

    NONE = "", _("Not sent")
    ACCEPTED = "accepted", _("Accepted by the channel")
    NOT_NEEDED = "not_needed", _("The channel does this itself")
    REFUSED = "refused", _("Refused by the channel")
    # A person has put another in its place: it counts for nothing any more.
    REPLACED = "replaced", _("Replaced by hand")


class Shipment(models.Model):
    """A parcel, as the channel lists it (`source` channel) or as the ERP dispatched it (`source` erp)."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="shipments", db_index=False)
    source = models.CharField(max_length=10)
    # Empty: the order's newest document holds this row, or it is the ERP's. Otherwise the newest one that did.
    last_seen_at = models.DateTimeField(null=True, blank=True)
    external_id = models.CharField(max_length=120)
    status = models.CharField(max_length=10, choices=ShipmentStatus, default=ShipmentStatus.UNKNOWN)
    raw_status = models.CharField(max_length=120, blank=True)
    exception = models.CharField(_("problem"), max_length=255, blank=True)
    carrier = models.CharField(_("carrier"), max_length=120, blank=True)
    service = models.CharField(_("service"), max_length=120, blank=True)
    tracking_code = models.CharField(_("tracking code"), max_length=120, blank=True)
    tracking_url = models.TextField(blank=True)
    ship_by = models.DateTimeField(null=True, blank=True)
    deliver_by = models.DateTimeField(null=True, blank=True)
    shipped_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=10, choices=Answer, default=Answer.NONE, blank=True)
    answer_text = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("shipment")
        verbose_name_plural = _("shipments")
        constraints = [
            models.UniqueConstraint(fields=["order", "source", "external_id"], name="one_shipment_per_source")
        ]
        indexes = [
            models.Index(fields=["tracking_code"], name="shipment_tracking_code"),
            models.Index(fields=["carrier", "order"], name="shipment_carrier", condition=~Q(carrier="")),
            models.Index(
                fields=["order"],
                name="shipment_in_trouble",
                condition=~Q(exception="") & Q(status__in=["pending", "ready", "shipped", "unknown"]),
            ),
        ]

    def __str__(self) -> str:
        return self.tracking_code or self.external_id


class TrackingEvent(models.Model):
    shipment = models.ForeignKey(Shipment, models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=ShipmentStatus, default=ShipmentStatus.UNKNOWN)
    raw_status = models.CharField(max_length=120, blank=True)
    description = models.CharField(max_length=255, blank=True)
    place = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shipment", "at", "raw_status"], name="one_event_per_scan")]

    def __str__(self) -> str:
        return self.description or self.raw_status


class Invoice(models.Model):
    """An NF-e, with the bytes of its XML as they came: one changed byte breaks its signature."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="invoices")
    # The order's: the same NF-e can't belong to two sales of one seller, and no other seller can stand in its way.
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(_("access key"), max_length=44)
    number = models.CharField(_("number"), max_length=120, blank=True)
    series = models.CharField(_("series"), max_length=120, blank=True)
    issued_at = models.DateTimeField(_("issued"), null=True, blank=True)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=4, null=True, blank=True)
    cancelled = models.BooleanField(_("cancelled"), default=False)
    # gzip of the file, sealed with the hub's credential keys: it names the buyer.
    sealed_xml = models.TextField(blank=True, editable=False)
    shipment_reference = models.CharField(max_length=120, blank=True)
    # What the ERP calls it: by this it announces the invoice again.
    external_id = models.CharField(max_length=120, blank=True)
    problem = models.TextField(_("problem"), blank=True)
    answer = models.CharField(max_length=10, choices=Answer, default=Answer.NONE, blank=True)
    answer_text = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    IN_FORCE = Q(cancelled=False) & ~Q(answer=Answer.REPLACED)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        constraints = [models.UniqueConstraint(fields=["key", "seller"], name="invoice_of_seller")]
        indexes = [models.Index(fields=["external_id"], name="invoice_external_id", condition=~Q(external_id=""))]

    def __str__(self) -> str:
        return self.number or self.key

    @property
    def short(self) -> str:
        """The number, which the key holds, too."""
        return self.number or self.key[25:34].lstrip("0")


class OrderEvent(models.Model):
    """The append-only timeline. `code` names what happened; `data` fills its sentence (see `timeline`)."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    code = models.CharField(max_length=40)
    source = models.CharField(max_length=10)
    data = models.JSONField(default=dict, blank=True)
    # The person, where one did it.
    actor = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["order", "at"], name="event_of_order")]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("The timeline is append-only.")
        super().save(*args, **kwargs)
