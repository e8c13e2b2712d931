"""The page of people, the chooser of sellers, and who sees what; with those who try what they may not."""

import re

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hub.models import Activity, Invitation, Membership
from hub.people import places
from monitoring.models import AlertRule
from tests.monitoring.world import World, browser_of, person, text_of

ROLES = Membership.Role


def link_in(text: str) -> str:
    found = re.search(r"/invitations/[\w-]+/", text)
    assert found
    return found.group()


def place_of(name: str) -> Membership:
    return Membership.objects.get(user__username=name)


# --- Invitation -----------------------------------------------------------------------------------------------------


def test_from_invitation_to_the_first_page(owner: Client, world: World) -> None:
    answer = owner.post(
        reverse("people_invite"), {"email": "bia@casa.example", "role": "operator", "seller": world.seller.pk}
    )
    [letter] = mail.outbox
    assert letter.to == ["bia@casa.example"]
    link = link_in(str(letter.body))
    assert link in text_of(answer)
    assert link not in text_of(owner.get(reverse("people")))
    new = Client(headers={"accept-language": "en"})
    assert "Your role: Operator" in text_of(new.get(link))
    for weak in ("12345", "bia@casa.example"):
        assert new.post(link, {"name": "Bia", "password": weak, "again": weak}).status_code == 200
    assert not Membership.objects.filter(seller=world.seller, role=ROLES.OPERATOR).exists()
    done = new.post(link, {"name": "Bia", "password": "uma senha bem longa", "again": "uma senha bem longa"})
    assert done.headers["location"] == "/"
    assert "Loja casa" in text_of(new.get("/"))
    assert place_of("bia@casa.example").role == ROLES.OPERATOR
    again = Client().get(link)
    assert (again.status_code, Client().post(link, {"name": "x"}).status_code) == (410, 410)


def test_a_known_person_signs_in_and_accepts(other: World, world: World) -> None:
    sent = places.invite(world.seller, "zeca@outra.example", ROLES.VIEWER, "ana")
    zeca = browser_of(person("zeca", other))
    link = reverse("invitation", args=[sent.token])
    assert "Accept as zeca" in text_of(zeca.get(link))
    assert zeca.get(link).status_code == 200
    assert not Membership.objects.filter(user__username="zeca", seller=world.seller).exists()
    zeca.post(link)
    assert set(Membership.objects.filter(user__username="zeca").values_list("seller__slug", "role")) == {
        ("casa", "viewer"),
        ("outra", "owner"),
    }


def test_a_mail_server_that_refuses_leaves_the_link(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr("monitoring.pages.people.send_mail", refuse)
    answer = owner.post(
        reverse("people_invite"), {"email": "b@casa.example", "role": "viewer", "seller": world.seller.pk}
    )
    text = text_of(answer)
    assert "did not take the invitation" in text
    assert Client().get(link_in(text)).status_code == 200


def test_resending_ends_the_first_link(owner: Client, world: World) -> None:
    first = places.invite(world.seller, "b@casa.example", ROLES.VIEWER, "ana")
    second = link_in(text_of(owner.post(reverse("invitation_resend", args=[first.invitation.pk]))))
    assert Client().get(reverse("invitation", args=[first.token])).status_code == 410
    assert Client().get(second).status_code == 200
    owner.post(reverse("invitation_withdraw", args=[Invitation.objects.latest("pk").pk]))
    assert Client().get(second).status_code == 410


@pytest.mark.parametrize("role", [ROLES.MANAGER, ROLES.OPERATOR, ROLES.VIEWER])
def test_only_owners_decide_about_people(world: World, role: str) -> None:
    person("olga", world)
    mia = browser_of(person("mia", world, role))
    waits = places.invite(world.seller, "b@casa.example", ROLES.VIEWER, "olga").invitation
    own, hers = place_of("mia"), place_of("olga")
    assert mia.get(reverse("people")).status_code == 403
    assert mia.get(reverse("activity")).status_code == 403
    assert mia.get(reverse("activity_export")).status_code == 403
    assert reverse("people") not in text_of(mia.get("/"))
    attempts = [
        ("people_invite", [], {"email": "evil@x.example", "role": "owner", "seller": world.seller.pk}),
        ("membership_change", [own.pk], {"role": "owner", "buyer": "on", "money": "on"}),
        ("membership_change", [hers.pk], {"role": "viewer"}),
        ("membership_remove", [hers.pk], {}),
        ("membership_factor", [hers.pk], {}),
        ("people_factor", [world.seller.pk], {"role": ["owner"]}),
        ("invitation_resend", [waits.pk], {}),
        ("invitation_withdraw", [waits.pk], {}),
    ]
    for name, args, form in attempts:
        assert mia.post(reverse(name, args=args), form).status_code == 403, name
    assert place_of("mia").role == role
    assert place_of("olga").role == ROLES.OWNER
    assert list(places.waiting()) == [waits]
    assert mail.outbox == []


def test_an_owner_does_not_invite_into_another_sellers_house(owner: Client, other: World) -> None:
    zeca = person("zeca", other)
    owner.post(reverse("people_invite"), {"email": "evil@x.example", "role": "owner", "seller": other.seller.pk})
    assert not Invitation.objects.exists()
    for name in ("membership_change", "membership_remove", "membership_factor"):
        assert owner.post(reverse(name, args=[place_of("zeca").pk]), {"role": "viewer"}).status_code == 404
    assert owner.post(reverse("people_factor", args=[other.seller.pk]), {"role": "owner"}).status_code == 404
    assert zeca.memberships.get().role == ROLES.OWNER


def test_roles_change_and_people_leave(owner: Client, world: World) -> None:
    person("max", world, ROLES.OPERATOR)
    place = place_of("max")
    owner.post(reverse("membership_change", args=[place.pk]), {"role": "manager"})
    place.refresh_from_db()
    # A new role brings its own sight; ticks of the former role do not stay.
    assert (place.role, place.sees_buyer, place.sees_money) == (ROLES.MANAGER, None, None)
    owner.post(reverse("membership_change", args=[place.pk]), {"role": "manager", "buyer": "on"})
    place.refresh_from_db()
    assert (place.sees_buyer, place.sees_money) == (None, False)
    owner.post(reverse("membership_remove", args=[place.pk]))
    assert not Membership.objects.filter(pk=place.pk).exists()
    own = place_of("ana")
    answer = owner.post(reverse("membership_remove", args=[own.pk]), follow=True)
    assert "needs an owner" in text_of(answer)
    assert place_of("ana").role == ROLES.OWNER


# --- Roles that mean something --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "allowed"), [(ROLES.MANAGER, True), (ROLES.OPERATOR, False), (ROLES.VIEWER, False)])
def test_settings_are_the_managers(world: World, role: str, allowed: bool) -> None:
    mia = browser_of(person("mia", world, role))
    rule = AlertRule.objects.create(seller=world.seller, kind="silence")
    expected = 302 if allowed else 403
    assert mia.post(reverse("connection_pause", args=[world.erp.pk])).status_code == expected
    assert mia.post(reverse("rule_switch", args=[rule.pk])).status_code == expected
    assert mia.post(reverse("repairs_allow", args=[world.seller.pk])).status_code == expected
    assert mia.get(reverse("connection_change", args=[world.erp.pk])).status_code == (200 if allowed else 403)
    world.erp.refresh_from_db()
    rule.refresh_from_db()
    assert (world.erp.state == "paused", rule.active) == (allowed, not allowed)
    assert Activity.objects.filter(action="connection_paused", actor="mia").exists() is allowed


def test_an_operator_works_on_orders(world: World) -> None:
    mia = browser_of(person("mia", world, ROLES.OPERATOR))
    job = world.export_job(world.order("1"))
    assert mia.post(reverse("job_retry", args=[job.pk])).status_code == 302
    job.refresh_from_db()
    assert job.state == "ready"


def test_a_viewer_sees_nobodys_data(viewer: Client, owner: Client, world: World) -> None:
    order = world.order(
        "1", buyer={"name": "Joana", "document": "52998224725", "phone": "81999990000", "email": "j@x.example"}
    )
    world.rejected("2")
    entry = world.rejected("3")
    world.call(order)
    hidden = ("529.982.247-25", "52998224725", "81999990000", "j@x.example", "Rua das Laranjeiras", "50030230")
    paths = [reverse("order", args=[order.pk]), reverse("api_order", args=[order.pk])]
    for path in [*paths, reverse("entry", args=[entry.pk]), reverse("orders")]:
        text = text_of(viewer.get(path))
        assert not any(secret in text for secret in hidden), path
    assert "12345678901234567890" not in text_of(viewer.get(reverse("entry", args=[entry.pk])))
    assert "&lt;b&gt;no&lt;/b&gt;" not in text_of(viewer.get(paths[0]))
    assert all("52998224725" in text_of(owner.get(path)).replace(".", "").replace("-", "") for path in paths)
    Membership.objects.filter(user__username="vera").update(sees_buyer=True)
    assert "529.982.247-25" in text_of(viewer.get(paths[0]))


def test_money_can_be_hidden(owner: Client, world: World) -> None:
    mia = browser_of(person("mia", world, ROLES.OPERATOR))
    Membership.objects.filter(user__username="mia").update(sees_money=False)
    order = world.order("1")
    paths = [reverse("order", args=[order.pk]), reverse("orders"), reverse("api_orders")]
    for path in [*paths, reverse("api_order", args=[order.pk])]:
        assert re.search(r"119[.,]90", text_of(owner.get(path))), path
        assert not re.search(r"119[.,]90|19[.,]90", text_of(mia.get(path))), path


# --- The chooser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def both(world: World, other: World) -> Client:
    world.order("CASA-1")
    other.order("OUTRA-1")
    user = person("ana", world)
    Membership.objects.create(user=user, seller=other.seller, role=ROLES.VIEWER)
    return browser_of(user)


def test_lists_show_the_chosen_seller_alone(both: Client, other: World) -> None:
    paths = [reverse(name) for name in ("orders", "api_orders")]
    for path in paths:
        assert all(number in text_of(both.get(path)) for number in ("CASA-1", "OUTRA-1"))
    both.post(reverse("seller_choose"), {"seller": other.seller.pk})
    for path in paths:
        text = text_of(both.get(path))
        assert ("CASA-1" in text, "OUTRA-1" in text) == (False, True), path
    both.post(reverse("seller_choose"), {"seller": ""})
    assert "CASA-1" in text_of(both.get(reverse("orders")))


def test_a_strangers_seller_cannot_be_chosen(owner: Client, other: World) -> None:
    other.order("OUTRA-1")
    assert owner.post(reverse("seller_choose"), {"seller": other.seller.pk}).status_code == 404
    # Not even where the session itself says so.
    session = owner.session
    session["seller"] = other.seller.pk
    session.save()
    for name in ("orders", "api_orders", "failures", "connections", "people"):
        text = text_of(owner.get(reverse(name)))
        assert "OUTRA-1" not in text
        assert "Outra" not in text


def test_who_leaves_a_seller_sees_it_no_more(both: Client, other: World) -> None:
    both.post(reverse("seller_choose"), {"seller": other.seller.pk})
    Membership.objects.filter(seller=other.seller).delete()
    text = text_of(both.get(reverse("orders")))
    assert ("CASA-1" in text, "OUTRA-1" in text) == (True, False)


def test_the_chooser_asks_nothing_more_of_the_database(both: Client) -> None:
    both.get(reverse("people"))
    with CaptureQueriesContext(connection) as asked:
        both.get(reverse("orders"))
    assert sum('FROM "hub_membership"' in query["sql"] for query in asked) == 1


# --- The log --------------------------------------------------------------------------------------------------------


def test_the_log_shows_the_own_sellers_lines(owner: Client, world: World, other: World) -> None:
    person("zeca", other)
    owner.post(reverse("connection_pause", args=[world.erp.pk]))
    Activity.objects.create(actor="zeca", action="invited", seller=other.seller, subject="secret@x.example")
    Activity.objects.create(actor="zeca", action="signed_in")
    text = text_of(owner.get(reverse("activity")))
    assert "paused a connection" in text
    assert "signed in" in text
    assert "zeca" not in text
    assert "secret@x.example" not in text
    narrow = text_of(
        owner.get(reverse("activity"), {"what": "connection_paused", "who": "BLING", "since": "2020-01-01"})
    )
    assert narrow.count("e-call") == 1
    assert "Nothing of this kind" in text_of(owner.get(reverse("activity"), {"until": "2020-01-01"}))
    file = text_of(owner.get(reverse("activity_export"), {"what": "connection_paused"}))
    assert file.count("\n") == 2
    assert "paused a connection,Bling casa,state: active,state: paused" in file


def test_the_log_never_holds_a_secret(owner: Client, world: World) -> None:
    form = {"name": "B2", "field_client_id": "app-1", "field_client_secret": "TOP-SECRET"}
    owner.post(reverse("connect", args=["bling"]), form)
    owner.post(reverse("connection_change", args=[world.erp.pk]), {**form, "field_client_secret": "TOP-SECRET-2"})
    assert "TOP-SECRET" not in str(list(Activity.objects.values()))
    assert set(Activity.objects.values_list("action", flat=True)) >= {"connection_created", "connection_changed"}
    assert Activity.objects.get(action="connection_changed").after["secrets"] is True
