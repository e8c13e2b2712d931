"""Labels that channels gave."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orders.models import Shipment


class ChannelLabel(models.Model):
    """A parcel's label as its channel gave it, or why it gave none."""

    shipment = models.OneToOneField(Shipment, models.CASCADE, related_name="label")
    content_type = models.CharField(max_length=40, blank=True)
    # It names the buyer.
    sealed = models.TextField(editable=False)
    problem = models.TextField(_("problem"), blank=True)
    fetched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("label")
        verbose_name_plural = _("labels")

    def __str__(self) -> str:
        return f"{self.shipment} {self.content_type}"
