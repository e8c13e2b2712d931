"""Who may see what. The few doors through which pages and API reach a seller's rows."""

from typing import TypeVar

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model, QuerySet

from hub.models import Membership, Seller

T = TypeVar("T", bound=Model)
WRITERS = (Membership.Role.OWNER, Membership.Role.MANAGER, Membership.Role.OPERATOR)


def sellers_of(user: User | AnonymousUser) -> QuerySet[Seller]:
    """The sellers this person belongs to. A superuser runs the installation and sees all."""
    if not user.is_authenticated:
        return Seller.objects.none()
    if user.is_superuser:
        return Seller.objects.all()
    return Seller.objects.filter(memberships__user=user)


def visible(rows: QuerySet[T], user: User | AnonymousUser, path: str = "seller") -> QuerySet[T]:
    """Only the rows of this person's sellers; `path` is the way from the row to its seller."""
    return rows.filter(**{f"{path}__in": sellers_of(user)})


def may_act(user: User | AnonymousUser, seller: Seller) -> bool:
    """Whether this person may change things of this seller, not only look."""
    if not user.is_authenticated:
        return False
    if user.is_superuser:
        return True
    return Membership.objects.filter(user=user, seller=seller, role__in=WRITERS).exists()
