"""Places at a seller: invited, taken, changed, left. A seller never loses its last owner."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from hub.models import Invitation, Membership, Seller
from hub.people.activity import record

VALID = timedelta(days=7)


class NotPossible(Exception):
    """What was asked would break a rule; the message is a code that pages have a sentence for."""


@dataclass(frozen=True)
class Sent:
    """An invitation and the secret of its link, which is kept nowhere."""

    invitation: Invitation
    token: str


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def waiting() -> QuerySet[Invitation]:
    """Invitations that can still be accepted."""
    return Invitation.objects.filter(accepted_at=None, withdrawn_at=None, expires_at__gt=timezone.now())


@transaction.atomic
def invite(seller: Seller, email: str, role: str, actor: str) -> Sent:
    """A link for this address, for seven days. An earlier one for the same address and seller ends."""
    address = email.strip().lower()
    if Membership.objects.filter(Q(user__email__iexact=address) | Q(user__username=address), seller=seller).exists():
        raise NotPossible("already_here")
    waiting().filter(seller=seller, email=address).update(withdrawn_at=timezone.now())
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        seller=seller,
        email=address,
        role=Membership.Role(role),
        digest=digest(token),
        invited_by=actor,
        expires_at=timezone.now() + VALID,
    )
    record(actor, "invited", seller, address, after={"role": role})
    return Sent(invitation, token)


@transaction.atomic
def withdraw(invitation: Invitation, actor: str) -> None:
    found = waiting().filter(pk=invitation.pk).update(withdrawn_at=timezone.now())
    if found:
        record(actor, "invitation_withdrawn", invitation.seller, invitation.email, before={"role": invitation.role})


def find(token: str) -> Invitation | None:
    """The invitation of a link, if it can still be accepted."""
    return waiting().filter(digest=digest(token)).select_related("seller").first()


@transaction.atomic
def accept(token: str, user: User) -> Membership:
    """Takes the place. Of two presses at once one wins; whoever has a place already keeps it as it is."""
    found = find(token)
    if found is None or not waiting().filter(pk=found.pk).update(accepted_at=timezone.now()):
        raise NotPossible("invitation_over")
    place, made = Membership.objects.get_or_create(user=user, seller=found.seller, defaults={"role": found.role})
    if not made:
        raise NotPossible("already_here")
    if not user.is_staff:
        # Pages are open to staff alone; what they show is decided by places.
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    record(user.get_username(), "joined", found.seller, found.email, after={"role": found.role})
    return place


@transaction.atomic
def sign_up(token: str, name: str, password: str) -> User:
    """A new person, who signs in with the invited address, at the place the link leads to."""
    found = find(token)
    if found is None:
        raise NotPossible("invitation_over")
    if known(found.email):
        raise NotPossible("known_here")
    user = User.objects.create_user(found.email, found.email, password, first_name=name[:150])
    accept(token, user)
    return user


def known(email: str) -> bool:
    """Whether somebody with this address can sign in already."""
    return User.objects.filter(Q(username__iexact=email) | Q(email__iexact=email)).exists()


@transaction.atomic
def change(
    place: Membership, actor: str, role: str, *, sees_buyer: bool | None = None, sees_money: bool | None = None
) -> None:
    """`sees_…`: None leaves it to the role."""
    found = _locked(place)
    before = _facts(found)
    found.role, found.sees_buyer, found.sees_money = Membership.Role(role), sees_buyer, sees_money
    _keep_an_owner(found.seller, without=found if role != Membership.Role.OWNER else None)
    found.save(update_fields=["role", "sees_buyer", "sees_money"])
    if before != _facts(found):
        record(actor, "role_changed", found.seller, found.user, before=before, after=_facts(found))


@transaction.atomic
def remove(place: Membership, actor: str) -> None:
    found = _locked(place)
    _keep_an_owner(found.seller, without=found)
    found.delete()
    record(actor, "removed", found.seller, found.user, before=_facts(found))


@transaction.atomic
def ask_second_factor(seller: Seller, roles: list[str], actor: str) -> None:
    """From now on people with these roles must sign in with a second factor."""
    found = Seller.objects.select_for_update().get(pk=seller.pk)
    before, found.second_factor = found.second_factor, sorted(Membership.Role(role).value for role in roles)
    found.save(update_fields=["second_factor"])
    if before != found.second_factor:
        record(actor, "second_factor_asked", found, before={"roles": before}, after={"roles": found.second_factor})


def _facts(place: Membership) -> dict[str, object]:
    return {"role": str(place.role), "sees_buyer": place.sees_buyer, "sees_money": place.sees_money}


def _locked(place: Membership) -> Membership:
    """Under the seller's lock: two owners who remove each other at once must not both succeed."""
    Seller.objects.select_for_update().get(pk=place.seller_id)
    found = Membership.objects.select_related("seller", "user").filter(pk=place.pk).first()
    if found is None:
        raise NotPossible("gone")
    return found


def _keep_an_owner(seller: Seller, without: Membership | None) -> None:
    owners = Membership.objects.filter(seller=seller, role=Membership.Role.OWNER)
    if without is not None and not owners.exclude(pk=without.pk).exists():
        raise NotPossible("last_owner")
