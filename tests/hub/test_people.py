"""Places at a seller: roles, invitations that work once, and the owner who cannot be lost."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory
from django.utils import timezone

from hub.models import Activity, Invitation, Membership, Seller
from hub.people import places
from hub.people.activity import address_of, record
from hub.people.places import NotPossible
from hub.tenancy import ROLES, Permission, Role, allows, may, may_act, memberships_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller() -> Seller:
    return Seller.objects.create(name="Casa", slug="casa")


def member(seller: Seller, name: str, role: str = Role.OWNER) -> Membership:
    user = User.objects.create(username=name, email=f"{name}@casa.example", is_staff=True)
    return Membership.objects.create(user=user, seller=seller, role=role)


def lines() -> list[tuple[str, str]]:
    return list(Activity.objects.order_by("pk").values_list("actor", "action"))


@pytest.mark.parametrize(
    ("role", "able"),
    [
        (Role.OWNER, {"look", "buyer", "money", "work", "settings", "people", "delete"}),
        (Role.MANAGER, {"look", "buyer", "money", "work", "settings"}),
        (Role.OPERATOR, {"look", "buyer", "money", "work"}),
        (Role.VIEWER, {"look", "money"}),
    ],
)
def test_what_each_role_may(seller: Seller, role: str, able: set[str]) -> None:
    user = member(seller, "ana", role).user
    assert {permission.value for permission in Permission if may(user, seller, permission)} == able
    assert may_act(user, seller) is ("work" in able)


def test_a_role_nobody_knows_may_nothing(seller: Seller) -> None:
    assert not any(allows(Membership(role="emperor"), permission) for permission in Permission)
    assert set(ROLES) == set(Role)


def test_a_place_at_one_seller_is_none_at_another(seller: Seller) -> None:
    other = Seller.objects.create(name="Outra", slug="outra")
    user = member(seller, "ana").user
    assert not any(may(user, other, permission) for permission in Permission)
    assert not any(may(AnonymousUser(), seller, permission) for permission in Permission)
    assert [place.seller for place in memberships_of(user)] == [seller]


def test_a_membership_may_say_otherwise_of_sight_alone(seller: Seller) -> None:
    place = member(seller, "vera", Role.VIEWER)
    owner = member(seller, "ana")
    places.change(place, owner.user.username, Role.VIEWER, sees_buyer=True, sees_money=False)
    assert may(place.user, seller, Permission.BUYER)
    assert not may(place.user, seller, Permission.MONEY)
    assert not may(place.user, seller, Permission.WORK)


def test_an_invitation_is_accepted_once(seller: Seller) -> None:
    sent = places.invite(seller, " Bia@Casa.example ", Role.OPERATOR, "ana")
    assert sent.token not in str(Invitation.objects.values_list())
    user = places.sign_up(sent.token, "Bia", "a long enough one")
    assert (user.username, user.is_staff, user.is_superuser) == ("bia@casa.example", True, False)
    assert Membership.objects.get(user=user).role == Role.OPERATOR
    thief = User.objects.create(username="thief")
    with pytest.raises(NotPossible, match="invitation_over"):
        places.accept(sent.token, thief)
    assert not Membership.objects.filter(user=thief).exists()
    assert lines() == [("ana", "invited"), ("bia@casa.example", "joined")]


@pytest.mark.parametrize("end", ["withdrawn", "too old", "replaced", "wrong"])
def test_an_invitation_that_is_over_opens_nothing(seller: Seller, end: str) -> None:
    sent = places.invite(seller, "bia@casa.example", Role.OWNER, "ana")
    token = sent.token
    if end == "withdrawn":
        places.withdraw(sent.invitation, "ana")
    elif end == "too old":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "replaced":
        places.invite(seller, "bia@casa.example", Role.VIEWER, "ana")
    else:
        token = sent.invitation.digest
    user = User.objects.create(username="bia")
    assert places.find(token) is None
    with pytest.raises(NotPossible):
        places.accept(token, user)
    with pytest.raises(NotPossible):
        places.sign_up(token, "Bia", "a long enough one")
    assert not Membership.objects.exists()


def test_an_invitation_lasts_seven_days(seller: Seller) -> None:
    left = places.invite(seller, "bia@casa.example", Role.VIEWER, "ana").invitation.expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_an_invitation_raises_nobody_who_is_here(seller: Seller) -> None:
    place = member(seller, "vera", Role.VIEWER)
    with pytest.raises(NotPossible, match="already_here"):
        places.invite(seller, "VERA@casa.example", Role.OWNER, "ana")
    sent = places.invite(seller, "other@casa.example", Role.OWNER, "ana")
    with pytest.raises(NotPossible, match="already_here"):
        places.accept(sent.token, place.user)
    place.refresh_from_db()
    assert place.role == Role.VIEWER
    assert places.find(sent.token) is not None


def test_nobody_signs_up_over_an_account(seller: Seller) -> None:
    known = User.objects.create_user("bia@casa.example", password="her own password")
    sent = places.invite(seller, "bia@casa.example", Role.OWNER, "ana")
    with pytest.raises(NotPossible, match="known_here"):
        places.sign_up(sent.token, "Bia", "somebody else's one")
    known.refresh_from_db()
    assert known.check_password("her own password")
    assert not Membership.objects.exists()


def test_the_last_owner_stays(seller: Seller) -> None:
    ana = member(seller, "ana")
    member(seller, "max", Role.MANAGER)
    for deed in (lambda: places.remove(ana, "ana"), lambda: places.change(ana, "ana", Role.VIEWER)):
        with pytest.raises(NotPossible, match="last_owner"):
            deed()
    ana.refresh_from_db()
    assert ana.role == Role.OWNER
    bia = member(seller, "bia")
    places.remove(ana, "bia")
    with pytest.raises(NotPossible, match="last_owner"):
        places.remove(bia, "bia")
    with pytest.raises(NotPossible, match="gone"):
        places.remove(ana, "bia")


def test_owners_of_other_sellers_do_not_count(seller: Seller) -> None:
    ana = member(seller, "ana")
    member(Seller.objects.create(name="Outra", slug="outra"), "zeca")
    with pytest.raises(NotPossible, match="last_owner"):
        places.remove(ana, "ana")


def test_the_log_keeps_what_was_and_what_is(seller: Seller) -> None:
    member(seller, "ana")
    place = member(seller, "max", Role.OPERATOR)
    places.change(place, "ana", Role.MANAGER, sees_money=False)
    places.change(place, "ana", Role.MANAGER, sees_money=False)
    line = Activity.objects.get(action="role_changed")
    assert (line.actor, line.subject, line.seller) == ("ana", "max", seller)
    assert line.before == {"role": "operator", "sees_money": None}
    assert line.after == {"role": "manager", "sees_money": False}


def test_the_log_keeps_only_differences(seller: Seller) -> None:
    line = record("ana", "x", seller, before={"a": 1, "b": 2}, after={"a": 1, "b": 3, "c": 4})
    assert (line.before, line.after) == ({"b": 2}, {"b": 3, "c": 4})


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_remove_each_other_leave_one(seller: Seller) -> None:
    from threading import Barrier, Thread

    from django.db import connection

    both = [member(seller, "ana"), member(seller, "bia")]
    start, refused = Barrier(2), []

    def remove(place: Membership) -> None:
        start.wait()
        try:
            places.remove(place, "x")
        except NotPossible as reason:
            refused.append(str(reason))
        finally:
            connection.close()

    threads = [Thread(target=remove, args=(place,)) for place in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["last_owner"]
    assert Membership.objects.filter(seller=seller, role=Role.OWNER).count() == 1


@pytest.mark.parametrize(("behind_proxy", "address"), [(False, "10.0.0.1"), (True, "192.0.2.7")])
def test_only_a_proxy_that_is_believed_names_the_address(settings: Any, behind_proxy: bool, address: str) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if behind_proxy else None
    forged = {"X-Forwarded-For": "198.51.100.1, 192.0.2.7"}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers=forged)) == address
    assert address_of(RequestFactory().get("/", REMOTE_ADDR="nonsense")) is None
