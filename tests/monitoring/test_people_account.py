"""Signing in: the second factor, the end of guessing, and one's sessions."""

import re
import time
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from hub.models import Activity, Seller, SignIn
from tests.monitoring.test_strangers import NAMES, _path, fill
from tests.monitoring.world import World, person, text_of

PASSWORD = "uma senha bem longa"
LOGIN = {"username": "ana", "password": PASSWORD}


@pytest.fixture
def ana(world: World) -> User:
    user = person("ana", world)
    user.set_password(PASSWORD)
    user.save()
    return user


def client(agent: str = "Firefox", **headers: str) -> Client:
    return Client(headers={"accept-language": "en", "user-agent": agent, **headers})


def signed_in(agent: str = "Firefox") -> Client:
    browser = client(agent)
    assert browser.post("/login/", LOGIN).status_code == 302
    return browser


def code(user: User, ahead: int = 0) -> str:
    device = TOTPDevice.objects.filter(user=user).latest("pk")
    return f"{totp(device.bin_key, t0=-30 * ahead):06d}"


def set_up(browser: Client, user: User) -> list[str]:
    """The codes for paper."""
    browser.post(reverse("second_factor_begin"))
    answer = browser.post(reverse("second_factor_confirm"), {"code": code(user)})
    return re.findall(r"<li>(\w{8})</li>", text_of(answer))


# --- The second factor ----------------------------------------------------------------------------------------------


def test_setting_it_up_and_signing_in_with_it(ana: User) -> None:
    browser = signed_in()
    browser.post(reverse("second_factor_begin"))
    page = text_of(browser.get(reverse("second_factor")))
    assert "<svg" in page
    assert "http://www.w3.org/2000/svg" in page
    assert not TOTPDevice.objects.get().confirmed
    browser.post(reverse("second_factor_confirm"), {"code": "000000"})
    assert not TOTPDevice.objects.get().confirmed
    with time_machine.travel(time.time() + 5):
        codes = set_up(browser, ana)
    assert len(set(codes)) == 10
    assert browser.get("/").status_code == 200

    later = client()
    with time_machine.travel(time.time() + 60):
        later.post("/login/", LOGIN)
        answer = later.get(reverse("orders"))
        assert answer.headers["location"] == "/sign-in/second-step/?next=%2Forders%2F"
        wrong = later.post(reverse("second_step"), {"code": "123456", "next": "/orders/"})
        assert "not right" in text_of(wrong)
        assert later.get("/").status_code == 302
    with time_machine.travel(time.time() + 120):
        done = later.post(reverse("second_step"), {"code": code(ana), "next": "/orders/"})
    assert done.headers["location"] == "/orders/"
    assert later.get(reverse("orders")).status_code == 200


def test_a_code_of_paper_works_once(ana: User) -> None:
    first, *_rest = set_up(signed_in(), ana)
    one, two = signed_in(), signed_in()
    one.post(reverse("second_step"), {"code": f" {first.upper()} "})
    assert one.get("/").status_code == 200
    two.post(reverse("second_step"), {"code": first})
    assert two.get("/").status_code == 302
    assert StaticToken.objects.count() == 9


def test_a_code_of_the_app_works_once(ana: User) -> None:
    set_up(signed_in(), ana)
    with time_machine.travel(time.time() + 90, tick=False):
        used = code(ana)
        for expected in (200, 302):
            browser = signed_in()
            browser.post(reverse("second_step"), {"code": used})
            assert browser.get("/").status_code == expected


def test_guessing_codes_is_slowed_down(ana: User) -> None:
    set_up(signed_in(), ana)
    browser = signed_in()
    with time_machine.travel(time.time() + 90, tick=False):
        for _try in range(5):
            browser.post(reverse("second_step"), {"code": "000000"})
        # Even the right one has to wait now.
        browser.post(reverse("second_step"), {"code": code(ana)})
        assert browser.get("/").status_code == 302
    assert Activity.objects.filter(action="second_factor_wrong").count() == 6


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("second_")])
def test_no_address_opens_with_the_password_alone(ana: User, world: World, name: str) -> None:
    fill(world)
    TOTPDevice.objects.create(user=ana, confirmed=True)
    browser = signed_in()
    path = _path(name)
    for answer in (browser.get(path), browser.post(path, {"reason": "x"})):
        assert answer.status_code in (302, 403, 405), path
        if answer.status_code == 302:
            assert answer.headers["location"].startswith("/sign-in/second-step/")


def test_the_first_factor_does_not_replace_the_second(ana: User) -> None:
    set_up(signed_in(), ana)
    thief = signed_in()
    for name in ("second_factor_begin", "second_factor_confirm"):
        assert thief.post(reverse(name), {"code": "1"}).headers["location"].startswith("/sign-in/second-step/")
    assert thief.get(reverse("second_factor")).headers["location"].startswith("/sign-in/second-step/")
    assert thief.post(reverse("second_factor_remove"), {"password": PASSWORD}).status_code == 302
    assert TOTPDevice.objects.filter(confirmed=True).count() == 1


def test_a_seller_may_ask_for_it(ana: User, world: World) -> None:
    Seller.objects.update(second_factor=["owner"])
    browser = signed_in()
    assert browser.get("/").headers["location"] == "/account/second-factor/?next=%2F"
    assert browser.get(reverse("api_orders")).status_code == 403
    assert "asks for a second factor" in text_of(browser.get(reverse("second_factor")))
    set_up(browser, ana)
    assert browser.get("/").status_code == 200
    Seller.objects.update(second_factor=["viewer"])
    assert signed_in().get("/").headers["location"].startswith("/sign-in/second-step/")


def test_setting_it_up_ends_the_sessions_without_it(ana: User) -> None:
    old, new = signed_in("Old"), signed_in("New")
    set_up(new, ana)
    assert old.get("/").status_code == 302
    assert new.get("/").status_code == 200


def test_removing_it_takes_the_password(ana: User) -> None:
    browser = signed_in()
    set_up(browser, ana)
    browser.post(reverse("second_factor_remove"), {"password": "wrong"})
    assert TOTPDevice.objects.filter(confirmed=True).exists()
    browser.post(reverse("second_factor_codes"), {"password": "wrong"})
    assert StaticToken.objects.count() == 10
    browser.post(reverse("second_factor_remove"), {"password": PASSWORD})
    assert not TOTPDevice.objects.exists()
    assert browser.get("/").status_code == 200
    assert signed_in().get("/").status_code == 200


def test_a_session_of_two_factors_goes_on_when_one_is_removed(ana: User) -> None:
    here = signed_in()
    paper = set_up(here, ana)
    there = signed_in()
    there.post(reverse("second_step"), {"code": paper[0]})
    here.post(reverse("second_factor_remove"), {"password": PASSWORD})
    assert there.get("/").status_code == 200


def test_an_owner_helps_whoever_lost_the_telephone(ana: User, owner_of_both: Client, world: World) -> None:
    set_up(signed_in(), ana)
    place = ana.memberships.get()
    owner_of_both.post(reverse("membership_factor", args=[place.pk]))
    assert not TOTPDevice.objects.filter(user=ana).exists()


@pytest.fixture
def owner_of_both(world: World) -> Client:
    browser = client()
    browser.force_login(person("bia", world))
    return browser


def test_but_not_of_somebody_with_another_seller(ana: User, owner_of_both: Client, other: World) -> None:
    from hub.models import Membership

    set_up(signed_in(), ana)
    Membership.objects.create(user=ana, seller=other.seller, role="owner")
    place = ana.memberships.get(seller__slug="casa")
    assert owner_of_both.post(reverse("membership_factor", args=[place.pk])).status_code == 403
    assert TOTPDevice.objects.filter(user=ana).exists()


# --- Guessing passwords ---------------------------------------------------------------------------------------------


def test_after_five_wrong_passwords_there_is_a_rest(ana: User) -> None:
    guesser = client()
    for _try in range(4):
        assert guesser.post("/login/", {**LOGIN, "password": "x"}).status_code == 200
    locked = guesser.post("/login/", {**LOGIN, "password": "x"})
    assert locked.status_code == 429
    assert "Wait 15 minutes" in text_of(locked)
    assert guesser.post("/login/", LOGIN).status_code == 429
    # From her own address she comes in.
    elsewhere = Client(REMOTE_ADDR="192.0.2.7", headers={"accept-language": "en"})
    assert elsewhere.post("/login/", LOGIN).status_code == 302
    with time_machine.travel(time.time() + 16 * 60):
        assert guesser.post("/login/", LOGIN).status_code == 302


def test_in_portuguese(ana: User) -> None:
    guesser = Client(headers={"accept-language": "pt-br"})
    for _try in range(5):
        answer = guesser.post("/login/", {**LOGIN, "password": "x"})
    assert "Espere 15 minutos" in text_of(answer)


def test_a_forged_address_is_not_believed(ana: User) -> None:
    for number in range(5):
        answer = client(**{"x-forwarded-for": f"192.0.2.{number}"}).post("/login/", {**LOGIN, "password": "x"})
    assert answer.status_code == 429


def test_guessing_does_not_fill_the_log(ana: User) -> None:
    for _try in range(12):
        client().post("/login/", {**LOGIN, "password": "x"})
    lines = Activity.objects.filter(actor="ana", address="127.0.0.1").order_by("pk")
    assert list(lines.values_list("action", flat=True)) == ["sign_in_failed"] * 4 + ["locked_out"]


# --- Sessions -------------------------------------------------------------------------------------------------------


def test_a_person_sees_and_ends_their_sessions(ana: User) -> None:
    here, there = signed_in("Here"), signed_in("There")
    text = text_of(here.get(reverse("account")))
    assert "Here" in text
    assert "There" in text
    here.post(reverse("session_end", args=[SignIn.objects.get(agent="There").pk]))
    assert there.get("/").status_code == 302
    assert here.get("/").status_code == 200
    assert "There" not in text_of(here.get(reverse("account")))


def test_nobody_ends_somebody_elses_session(ana: User, other: World) -> None:
    hers = signed_in()
    stranger = client()
    stranger.force_login(person("zeca", other))
    assert stranger.post(reverse("session_end", args=[SignIn.objects.get(user=ana).pk])).status_code == 404
    stranger.post(reverse("sessions_end"))
    assert hers.get("/").status_code == 200


def test_a_new_password_ends_the_others(ana: User) -> None:
    here, there = signed_in("Here"), signed_in("There")
    form = {
        "old_password": PASSWORD,
        "new_password1": "outra senha bem longa",
        "new_password2": "outra senha bem longa",
    }
    assert here.post(reverse("admin:password_change"), form).status_code == 302
    assert there.get("/").status_code == 302
    assert here.get("/").status_code == 200
    assert [one.agent for one in SignIn.objects.filter(user=ana)] == ["Here"]
    assert Session.objects.count() == 1


def test_signing_out_ends_the_row(ana: User) -> None:
    signed_in().post("/logout/")
    assert not SignIn.objects.exists()
    assert list(Activity.objects.order_by("pk").values_list("action", flat=True)) == ["signed_in", "signed_out"]


def test_a_session_is_not_written_with_every_page(ana: User) -> None:
    browser = signed_in()
    before = SignIn.objects.get().seen_at
    for _page in range(3):
        browser.get("/")
    assert SignIn.objects.get().seen_at == before
    from django.core.cache import cache

    cache.clear()
    with time_machine.travel(time.time() + timedelta(minutes=11).total_seconds()):
        browser.get("/")
    assert SignIn.objects.get().seen_at > before
