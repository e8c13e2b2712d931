"""Who may see and do what. The few doors through which pages and API reach a seller's rows."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from django.contrib.auth.models import AbstractUser, AnonymousUser, User
from django.db.models import Model, QuerySet

from hub.models import Membership, Seller

T = TypeVar("T", bound=Model)
Role = Membership.Role


class Permission(StrEnum):
    LOOK = "look"
    # CPF or CNPJ, address, phone and e-mail of who bought.
    BUYER = "buyer"
    MONEY = "money"
    # Orders: retry, hold, release, label, note, report.
    WORK = "work"
    # Connections, rules, calendars, what the hub may mend by itself.
    SETTINGS = "settings"
    # Invitations, roles, the activity log.
    PEOPLE = "people"
    DELETE = "delete"


# What each role may. A membership may say otherwise of the buyer's data and of money.
ROLES: dict[str, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.MANAGER: frozenset(Permission) - {Permission.PEOPLE, Permission.DELETE},
    Role.OPERATOR: frozenset({Permission.LOOK, Permission.BUYER, Permission.MONEY, Permission.WORK}),
    Role.VIEWER: frozenset({Permission.LOOK, Permission.MONEY}),
}
WRITERS = tuple(role for role, permissions in ROLES.items() if Permission.WORK in permissions)


def sellers_of(user: User | AnonymousUser) -> QuerySet[Seller]:
    """The sellers this person belongs to. A superuser runs the installation and sees all."""
    if not user.is_authenticated:
        return Seller.objects.none()
    if user.is_superuser:
        return Seller.objects.all()
    return Seller.objects.filter(memberships__user=user)


def memberships_of(user: User | AnonymousUser) -> list[Membership]:
    """One for each seller of `sellers_of`, with its seller, by name; a superuser's are unsaved ones of an owner."""
    if not user.is_authenticated:
        return []
    if user.is_superuser:
        return [Membership(user=user, seller=seller, role=Role.OWNER) for seller in Seller.objects.order_by("name")]
    return list(Membership.objects.filter(user=user).select_related("seller").order_by("seller__name"))


def visible(rows: QuerySet[T], user: User | AnonymousUser, path: str = "seller") -> QuerySet[T]:
    """Only the rows of this person's sellers; `path` is the way from the row to its seller."""
    return rows.filter(**{f"{path}__in": sellers_of(user)})


def allows(place: Membership, permission: Permission) -> bool:
    own = {Permission.BUYER: place.sees_buyer, Permission.MONEY: place.sees_money}.get(permission)
    return permission in ROLES.get(place.role, ()) if own is None else own


def may(user: User | AnonymousUser, seller: Seller, permission: Permission) -> bool:
    if not user.is_authenticated:
        return False
    if user.is_superuser:
        return True
    place = Membership.objects.filter(user=user, seller=seller).first()
    return place is not None and allows(place, permission)


def name_of(person: AbstractUser) -> str:
    return person.get_full_name() or person.get_username()


def workers_of(sellers: Iterable[int]) -> QuerySet[User]:
    """Whom work may be given to: these sellers' people, without those who only look."""
    members = User.objects.filter(memberships__seller__in=sellers, memberships__role__in=WRITERS, is_active=True)
    return members.distinct().order_by("username")


def may_act(user: User | AnonymousUser, seller: Seller) -> bool:
    """Whether this person may change things of this seller's orders, not only look."""
    return may(user, seller, Permission.WORK)
