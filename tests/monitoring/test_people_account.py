"""Signing in: the second factor, the end of guessing, and one's sessions."""

import re
import time
from datetime import timedelta
from threading import Thread
from typing import Any

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
from hub.people import forgotten
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


# --- A forgotten password -------------------------------------------------------------------------------------------

NEW = {"new_password1": "outra senha bem longa", "new_password2": "outra senha bem longa"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """(subject, body, to): delivered at once, not beside the request."""
    found: list[tuple[str, str, str]] = []
    monkeypatch.setattr(forgotten, "send", lambda *mail: found.append(mail))
    User.objects.filter(username="ana").update(email="ana@casa.example")
    return found


def ask(email: str = "ANA@casa.example", address: str = "127.0.0.1", language: str = "en") -> str:
    browser = client(**{"accept-language": language})
    return text_of(browser.post(reverse("password_reset"), {"email": email}, follow=True, REMOTE_ADDR=address))


def link_of(mail: tuple[str, str, str]) -> str:
    (path,) = re.findall(r"https://hub\.example(/\S+)", mail[1])
    return str(path)


@pytest.mark.parametrize(
    ("language", "subject"), [("en", "A new password for Entreposto"), ("pt-br", "Uma nova senha para o Entreposto")]
)
def test_a_link_sets_a_new_password_and_ends_every_session(
    ana: User, sent: list[tuple[str, str, str]], settings: Any, language: str, subject: str
) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    here = signed_in()
    ask(language=language)
    assert [(mail[0], mail[2]) for mail in sent] == [(subject, "ana@casa.example")]
    link, browser = link_of(sent[0]), client()
    form = browser.get(link).headers["location"]
    assert browser.post(form, {**NEW, "new_password2": "not the same"}).status_code == 200
    assert "sign in with it" in text_of(browser.post(form, NEW, follow=True))
    assert here.get("/").status_code == 302
    assert not SignIn.objects.exists()
    assert browser.get("/").status_code == 302, "the link alone signs nobody in"
    assert client().post("/login/", LOGIN).status_code == 200
    assert client().post("/login/", {**LOGIN, "password": NEW["new_password1"]}).status_code == 302
    assert "too old" in text_of(client().get(link)), "it works once"
    done = Activity.objects.filter(action__startswith="password").order_by("pk")
    assert list(done.values_list("actor", "action", "address")) == [
        ("ana@casa.example", "password_forgotten", "127.0.0.1"),
        ("ana", "password_reset", "127.0.0.1"),
    ]


def test_a_link_ends_after_an_hour(ana: User, sent: list[tuple[str, str, str]], settings: Any) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    ask()
    with time_machine.travel(time.time() + 3700):
        assert "too old" in text_of(client().get(link_of(sent[0]), follow=True))


def test_the_second_factor_is_asked_for_after_a_new_password(
    ana: User, sent: list[tuple[str, str, str]], settings: Any
) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    set_up(signed_in(), ana)
    # In a session that lacks the second factor, too. Signing in later would end the link.
    browser = signed_in()
    ask()
    assert browser.post(browser.get(link_of(sent[0])).headers["location"], NEW).status_code == 302
    later = client()
    later.post("/login/", {**LOGIN, "password": NEW["new_password1"]})
    assert later.get("/").headers["location"].startswith("/sign-in/second-step/")


def test_a_new_password_ends_the_lock_out_here(ana: User, sent: list[tuple[str, str, str]], settings: Any) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    for address in ("127.0.0.1", "10.0.0.9"):
        for _try in range(5):
            client().post("/login/", {**LOGIN, "password": "wrong"}, REMOTE_ADDR=address)
    ask()
    browser = client()
    browser.post(browser.get(link_of(sent[0])).headers["location"], NEW)
    right = {**LOGIN, "password": NEW["new_password1"]}
    assert client().post("/login/", right).status_code == 302
    assert client().post("/login/", right, REMOTE_ADDR="10.0.0.9").status_code == 429


def test_nobody_learns_whether_there_is_such_a_person(ana: User, sent: list[tuple[str, str, str]]) -> None:
    def said(email: str) -> str:
        return re.sub(r'value="\w{64}"', "", ask(email))

    assert said("nobody@casa.example") == said("ana@casa.example")
    assert len(sent) == 1


def test_links_are_asked_for_a_few_times_only(ana: User, sent: list[tuple[str, str, str]]) -> None:
    for last in range(forgotten.FOR_ONE_EMAIL):
        assert "is on its way" in ask(address=f"10.0.0.{last}")
    assert "too often" in ask(address="10.0.1.1")
    assert len(sent) == forgotten.FOR_ONE_EMAIL
    for number in range(forgotten.FROM_ONE_ADDRESS):
        assert "is on its way" in ask(f"{number}@casa.example", address="10.0.2.1")
    assert "too often" in ask("more@casa.example", address="10.0.2.1")
    lines = forgotten.FOR_ONE_EMAIL + forgotten.FROM_ONE_ADDRESS
    assert Activity.objects.filter(action="password_forgotten").count() == lines
    with time_machine.travel(time.time() + 16 * 60):
        assert "is on its way" in ask()


def test_without_a_mail_server_the_page_says_whom_to_ask(
    ana: User, sent: list[tuple[str, str, str]], settings: Any
) -> None:
    settings.EMAIL_BACKEND = forgotten.CONSOLE
    assert "Ask whoever runs it" in text_of(client().get(reverse("password_reset")))
    assert "Ask whoever runs it" in ask()
    assert not sent


def test_the_mail_goes_out_beside_the_request(mailoutbox: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Beside(Thread):
        def start(self) -> None:
            started.append("thread")
            self.run()

    monkeypatch.setattr(forgotten, "Thread", Beside)
    forgotten.send("Subject", "Body", "ana@casa.example")
    assert started == ["thread"]
    assert [(mail.subject, mail.body, mail.to) for mail in mailoutbox] == [("Subject", "Body", ["ana@casa.example"])]


def test_a_mail_server_that_is_away_breaks_nothing(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def away(*_mail: Any) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(forgotten, "send_mail", away)
    forgotten._deliver("Subject", "Body", "ana@casa.example")
    assert "could not be sent" in caplog.text


def test_the_sign_in_page_leads_there(ana: User) -> None:
    assert f'href="{reverse("password_reset")}"' in text_of(client().get("/login/"))
