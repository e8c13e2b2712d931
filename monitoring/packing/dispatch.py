"""A person says that a parcel left. The channel hears of it once, after a moment in which it can be taken back."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from connectors import planning
from connectors.failures import Refusal
from connectors.models import Job
from orders import doors
from orders.documents import DispatchDocument
from orders.models import Order, Shipment
from orders.vocabulary import Logistics, OrderStatus, Source

BY_HAND = "by hand"
# Long enough to notice that the wrong parcel was scanned.
TIME_TO_TAKE_BACK = timedelta(minutes=2)


def obstacle(order: Order) -> str:
    """Why this order cannot leave now, as a sentence; empty where nothing stands in the way."""
    if order.status == OrderStatus.CANCELLED:
        return _("This order was cancelled: do not send it.")
    if order.shipped_at is not None:
        when = date_format(timezone.localtime(order.shipped_at), "SHORT_DATETIME_FORMAT")
        return _("This order has left already, on %(when)s.") % {"when": when}
    if order.status not in (OrderStatus.APPROVED, OrderStatus.INVOICED):
        return _("This order is not waiting to be dispatched: %(status)s.") % {"status": order.get_status_display()}
    if order.held:
        return _("This order is held: release it first.")
    if order.logistics == Logistics.FULFILLED:
        return _("The marketplace's own warehouse sends this order.")
    return ""


def mark(order: Order, actor: str, carrier: str = "", tracking_code: str = "") -> Shipment:
    """Raises `Refusal` with `obstacle`'s sentence. What is not given is taken from the channel's parcel."""
    now = timezone.now()
    with transaction.atomic():
        sale = Order.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if reason := obstacle(sale):
            raise Refusal(reason)
        known = known_parcel(sale)
        document = DispatchDocument(
            external_id=BY_HAND,
            carrier=carrier or (known.carrier if known else ""),
            service=known.service if known else "",
            tracking_code=tracking_code or (known.tracking_code if known else ""),
            tracking_url=known.tracking_url if known else "",
            shipped_at=now,
        )
        parcel = doors.record_dispatch(sale, document, Source.PERSON, now, actor)
        planning.tell_channel([sale], dispatch_at=now + TIME_TO_TAKE_BACK)
    return parcel


def known_parcel(order: Order) -> Shipment | None:
    """The parcel whose tracking code somebody has told already."""
    return order.shipments.exclude(tracking_code="").order_by("pk").first()


def by_hand(order: Order) -> Shipment | None:
    """The parcel a person reported, as long as the channel has not answered."""
    return order.shipments.filter(source=Source.PERSON, answer="").first()


def take_back(order: Order, actor: str) -> None:
    """As if it had not been reported. Raises `Refusal` once the channel is being told, or somebody else said so too."""
    too_late = Refusal(_("Too late: the channel knows of it, or somebody else has reported it, too."))
    with transaction.atomic():
        parcel = by_hand(order)
        if parcel is None:
            raise too_late
        telling = Job.objects.filter(order=order, operation__in=planning.TELLING, key=f"shipment:{parcel.pk}")
        # Deleted, not closed: should the order be dispatched after all, it must be told.
        telling.filter(state=Job.State.READY, attempts=0, uncertain=False).delete()
        if telling.exists() or not doors.take_back_dispatch(parcel, actor):
            raise too_late
