from django.conf import settings
from django.db import models
from django.utils import timezone
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
    # How much each part counts in an order's priority (`orders.priority`); empty: the usual weights.
    weights = models.JSONField(_("weights"), default=dict, blank=True)
    # Sender on labels: name, street, number, district, city, state, postal_code, phone.
    sender = models.JSONField(_("sender"), default=dict, blank=True)
    # Repairs that may happen without a person's word (`monitoring.reconciliation`).
    auto_repairs = models.JSONField(_("repairs by itself"), default=list, blank=True)
    # Roles whose people must sign in with a second factor.
    second_factor = models.JSONField(_("second factor asked of"), default=list, blank=True)
    # Since when the first page no longer shows the steps of setting up, because a person put them away.
    setup_closed_at = models.DateTimeField(null=True, blank=True, editable=False)
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
    # Null: as the role has it (`hub.tenancy.ROLES`).
    sees_buyer = models.BooleanField(_("sees the buyer's data"), null=True, blank=True)
    sees_money = models.BooleanField(_("sees money"), null=True, blank=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "seller"], name="one_membership_per_person")]

    def __str__(self) -> str:
        return f"{self.user} · {self.seller}"


class Invitation(models.Model):
    """A place at a seller that waits for its person. The link's secret is kept only as a hash."""

    seller = models.ForeignKey(Seller, models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail"))
    role = models.CharField(_("role"), max_length=10, choices=Membership.Role, default=Membership.Role.OPERATOR)
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.CharField(_("invited by"), max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(_("valid until"))
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return self.email


class Activity(models.Model):
    """Who did what, when, from where, and what it was before. Append-only; empty seller: the whole installation."""

    seller = models.ForeignKey(Seller, models.CASCADE, null=True, blank=True, related_name="activities", db_index=False)
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(_("who"), max_length=150)
    # A short word for what was done ("signed_in", "role_changed", "connection_paused"); pages have its sentence.
    action = models.CharField(_("what"), max_length=40)
    subject = models.CharField(_("about"), max_length=200, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)

    class Meta:
        verbose_name = _("activity")
        verbose_name_plural = _("activities")
        indexes = [
            models.Index(fields=["seller", "-at"], name="activity_newest"),
            models.Index(fields=["actor", "-at"], name="activity_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action}"


class SignIn(models.Model):
    """An open session, so that a person can see and end their own."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return f"{self.user} {self.agent}"
