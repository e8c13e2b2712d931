from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Seller(models.Model):
    """The tenant. Everything else belongs to exactly one."""

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(unique=True)
    tax_ids = models.JSONField(
        _("CNPJs"), default=list, blank=True, help_text=_("The CNPJs this seller issues invoices with.")
    )
    time_zone = models.CharField(_("time zone"), max_length=40, default="America/Sao_Paulo")
    # Hours before a deadline at which an order counts as at risk.
    risk_hours = models.PositiveSmallIntegerField(_("at risk, hours before"), default=4)
    # Repairs that may happen without a person's word (`monitoring.reconciliation`).
    auto_repairs = models.JSONField(_("repairs by itself"), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("seller")
        verbose_name_plural = _("sellers")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        MANAGER = "manager", _("Manager")
        OPERATOR = "operator", _("Operator")
        VIEWER = "viewer", _("Viewer")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    seller = models.ForeignKey(Seller, models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.OPERATOR)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "seller"], name="one_membership_per_person")]

    def __str__(self) -> str:
        return f"{self.user} · {self.seller}"
