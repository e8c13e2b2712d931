"""Labels that channels gave."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orders.models import Order, Shipment


class ChannelLabel(models.Model):
    """The label of a parcel, or of a whole order, as its channel gave it, or why it gave none."""

    shipment = models.OneToOneField(Shipment, models.CASCADE, null=True, blank=True, related_name="label")
    order = models.OneToOneField(Order, models.CASCADE, null=True, blank=True, related_name="label")
    content_type = models.CharField(max_length=40, blank=True)
    # It names the buyer.
    sealed = models.TextField(editable=False)
    problem = models.TextField(_("problem"), blank=True)
    fetched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("label")
        verbose_name_plural = _("labels")
        constraints = [
            models.CheckConstraint(
                condition=Q(shipment__isnull=True, order__isnull=False) | Q(shipment__isnull=False, order__isnull=True),
                name="label_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.order or self.shipment} {self.content_type}"
