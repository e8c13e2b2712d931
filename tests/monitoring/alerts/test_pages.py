"""The page "Alerts": take, snooze, send again; rules and destinations; and what is never shown."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from hub import vault
from hub.models import Membership
from monitoring.alerts import defaults, sending, watch
from monitoring.models import Alert, AlertRule, Delivery, Destination
from tests.monitoring.alerts.receivers import Receiver, mail_server
from tests.monitoring.alerts.test_sending import mail_settings
from tests.monitoring.world import World, text_of

pytestmark = pytest.mark.django_db


def text(client: Client, path: str = "/alerts/") -> str:
    return " ".join(text_of(client.get(path)).split())


def test_before_the_first_look_and_after(world: World, owner: Client) -> None:
    assert "No alert is open." in text(owner) and "made within a minute" in text(owner)
    watch.tick()
    shown = text(owner)
    assert "No owner of this seller has an e-mail address." in shown and "E-mail dos donos" in shown
    assert "quiet 22:00 to 07:00" in shown and "Each day at 8 h" in shown


def test_an_open_alert_and_its_badge(world: World, owner: Client) -> None:
    world.alert()
    shown = text(owner)
    assert "Loja casa: no orders for 3 h, usual are 11" in shown
    assert "It answered 404." in shown and "told 1 time" in shown
    assert "chat.example" in shown and "chat.example/token" not in shown
    assert Alert.objects.count() == 1


def test_the_sidebar_counts_what_nobody_has_taken(world: World, owner: Client) -> None:
    assert "bg-red-100 px-1" not in text(owner)
    world.alert()
    world.alert(cause="other", state="taken")
    assert text_of(owner.get("/alerts/")).count('dark:text-red-400">1</span>') >= 1


def test_take_and_give_back(world: World, owner: Client) -> None:
    alert = world.alert()
    owner.post(f"/alerts/{alert.pk}/take/")
    alert.refresh_from_db()
    assert (alert.state, alert.taken_by) == (Alert.State.TAKEN, "ana")
    assert "ana is on it" in text(owner)
    owner.post(f"/alerts/{alert.pk}/give-back/")
    alert.refresh_from_db()
    assert (alert.state, alert.taken_by) == (Alert.State.OPEN, "")


def test_snooze(world: World, owner: Client) -> None:
    alert = world.alert(data={"connection": "x", "since": timezone.now().isoformat(), "usual": 1, "count": 7})
    owner.post(f"/alerts/{alert.pk}/snooze/", {"hours": "24"})
    alert.refresh_from_db()
    assert alert.snoozed_until is not None and alert.snoozed_above == 14
    assert 23.9 < (alert.snoozed_until - timezone.now()).total_seconds() / 3600 <= 24
    owner.post(f"/alerts/{alert.pk}/snooze/", {"hours": "9999999999"})
    alert.refresh_from_db()
    assert (alert.snoozed_until - timezone.now()).total_seconds() <= 3600


def test_a_mended_one_is_history(world: World, owner: Client) -> None:
    alert = world.alert(state="mended", mended_at=timezone.now() + timedelta(seconds=1))
    assert "No alert is open." in text(owner) and "Loja casa: no orders for 3 h" in text(owner)
    owner.post(f"/alerts/{alert.pk}/take/")
    alert.refresh_from_db()
    assert alert.state == Alert.State.MENDED


def test_a_failed_message_is_sent_again(world: World, owner: Client) -> None:
    world.alert()
    owner.post(f"/alerts/messages/{Delivery.objects.get().pk}/again/")
    assert Delivery.objects.get().state == Delivery.State.WAITING


# --- Rules -----------------------------------------------------------------------------------------------------------


def answers(**changes: Any) -> dict[str, Any]:
    return {"remind_minutes": "60", "window_minutes": "10", "escalate_minutes": "0", "active": "on", **changes}


def test_a_rule_is_changed(world: World, owner: Client) -> None:
    defaults.ensure(world.seller)
    rule = AlertRule.objects.get(kind="report_age")
    assert 'value="untransmitted" selected' in text(owner, f"/alerts/rules/{rule.pk}/")
    there = Destination.objects.get()
    given = answers(
        report="untransmitted",
        minutes="45",
        quiet_from="23:00",
        quiet_until="06:30",
        escalate_to=[there.pk],
        urgent="on",
    )
    owner.post(f"/alerts/rules/{rule.pk}/", given)
    rule.refresh_from_db()
    assert rule.params == {"report": "untransmitted", "case": "", "minutes": 45}
    assert (rule.remind_minutes, str(rule.quiet_from), rule.urgent) == (60, "23:00:00", True)
    assert list(rule.escalate_to.all()) == [there] and not rule.destinations.exists()
    answer = owner.post(f"/alerts/rules/{rule.pk}/", answers(report="untransmitted", minutes="0", quiet_from="23:00"))
    assert "Quiet hours need a beginning and an end." in text_of(answer)
    assert "greater than or equal to 1" in text_of(answer)
    wrong = owner.post(f"/alerts/rules/{rule.pk}/", answers(report="untransmitted", minutes="1", case="late"))
    assert "This report has no such part." in text_of(wrong)
    owner.post(f"/alerts/rules/{rule.pk}/switch/")
    rule.refresh_from_db()
    assert not rule.active and rule.params["minutes"] == 45


@pytest.mark.parametrize("kind", AlertRule.Kind.values)
def test_a_rule_of_every_kind_can_be_added(world: World, owner: Client, kind: str) -> None:
    asked = {
        "report": "untransmitted", "rows": "3", "minutes": "5", "orders": "0", "days": "3", "jobs": "9", "hour": "7",
    }  # fmt: skip
    assert owner.get(f"/alerts/rules/add/?kind={kind}").status_code == 200
    assert owner.post(f"/alerts/rules/add/?kind={kind}", answers(**asked)).status_code == 302
    assert AlertRule.objects.get().kind == kind
    watch.look(world.seller, timezone.now())


def test_how_many_days_before_a_permission_ends(world: World, owner: Client) -> None:
    path = "/alerts/rules/add/?kind=token_expires"
    assert 'value="30, 7, 1"' in text(owner, path)
    for wrong in ("", "soon", "7,", "0", "7, 400", "7, -1"):
        assert owner.post(path, answers(days=wrong)).status_code == 200
    owner.post(path, answers(days="60,14"))
    assert AlertRule.objects.get().params == {"days": "60,14"} and "60,14 days before it ends" in text(owner)


def test_a_rule_cannot_be_given_a_strangers_destination(world: World, other: World, owner: Client) -> None:
    theirs = other.alert().rule.destinations.get()
    asked = answers(orders="0", destinations=[theirs.pk])
    answer = owner.post("/alerts/rules/add/?kind=incident", asked)
    assert answer.status_code == 200 and not AlertRule.objects.filter(seller=world.seller).exists()
    assert owner.post(f"/alerts/rules/add/?kind=incident&seller={other.seller.pk}", asked).status_code == 403
    assert owner.get("/alerts/rules/add/?kind=nonsense").status_code == 404


# --- Destinations ----------------------------------------------------------------------------------------------------


def test_a_webhook_shows_its_secret_once_and_can_be_tested(world: World, owner: Client, receiver: Receiver) -> None:
    defaults.ensure(world.seller)
    given = {"name": "Ours", "url": f"{receiver.url}/in", "language": "en", "active": "on"}
    made = text_of(owner.post("/alerts/destinations/add/?kind=webhook", given))
    there = Destination.objects.get(kind="webhook")
    secret = there.open()["secret"]
    assert secret in made and "no-store" in owner.get("/alerts/").headers["cache-control"]
    for path in ("/alerts/", f"/alerts/destinations/{there.pk}/"):
        assert secret not in text(owner, path) and f"{receiver.url}/in" not in text(owner, path)
    assert there.rules.count() == len(defaults.RULES)
    answer = owner.post(f"/alerts/destinations/{there.pk}/test/", follow=True)
    assert "The test was sent to Ours." in text_of(answer) and receiver.calls[0].path == "/in"
    receiver.answers = [410]
    answer = owner.post(f"/alerts/destinations/{there.pk}/test/", follow=True)
    assert "It did not arrive: It answered 410" in text_of(answer)
    # A press of the button is one try: the person sees what came of it.
    assert not Delivery.objects.filter(state="waiting").exists()
    assert "Messages that did not arrive" not in text(owner) and "Does not arrive" in text(owner)
    renewed = text_of(owner.post(f"/alerts/destinations/{there.pk}/secret/"))
    there.refresh_from_db()
    assert there.open()["secret"] in renewed and there.open()["secret"] != secret
    assert there.open()["url"].endswith("/in")


def test_every_message_can_be_read_and_sent_again(world: World, owner: Client, receiver: Receiver) -> None:
    given = {"name": "Ours", "url": f"{receiver.url}/in", "language": "en", "active": "on"}
    owner.post("/alerts/destinations/add/?kind=webhook", given)
    there = Destination.objects.get()
    path = f"/alerts/destinations/{there.pk}/messages/"
    assert "Nothing was sent there" in text(owner, path)
    owner.post(f"/alerts/destinations/{there.pk}/test/")
    delivery = Delivery.objects.get()
    shown = text(owner, path)
    assert delivery.subject in shown and "&quot;purpose&quot;: &quot;test&quot;" in shown
    assert there.open()["secret"] not in shown and f"{receiver.url}/in" not in shown
    owner.post(f"/alerts/messages/{delivery.pk}/again/", {"next": path})
    assert sending.send_due() == 1
    numbers = [call.headers["Entreposto-Delivery"] for call in receiver.calls]
    assert numbers == [str(delivery.pk)] * 2


def test_messages_are_for_who_may_change_their_destination(world: World, owner: Client, viewer: Client) -> None:
    there = world.alert().rule.destinations.get()
    assert viewer.get(f"/alerts/destinations/{there.pk}/messages/").status_code == 403
    assert "Loja: 1" in text(owner) and "Loja: 1" in text(owner, f"/alerts/destinations/{there.pk}/messages/")
    # The sentence was written with its amounts.
    Membership.objects.filter(user__username="vera").update(sees_money=False)
    assert "Loja: 1" not in text(viewer)


def test_a_secret_that_is_not_typed_again_stays(world: World, owner: Client) -> None:
    given = {"name": "Bot", "token": "12:ab", "chat": "-100", "language": "en", "active": "on"}
    owner.post("/alerts/destinations/add/?kind=telegram", given)
    there = Destination.objects.get()
    assert "12:ab" not in text(owner, f"/alerts/destinations/{there.pk}/")
    owner.post(f"/alerts/destinations/{there.pk}/", {**given, "token": "", "chat": "-200"})
    there.refresh_from_db()
    assert there.open() == {"token": "12:ab", "chat": "-200"}
    assert "12:ab" not in there.sealed and "-200" in text(owner)


def test_mail_is_tested_too(world: World, owner: Client, settings: Any) -> None:
    given = {"name": "Mail", "to": "", "language": "pt-br", "active": "on"}
    owner.post("/alerts/destinations/add/?kind=email", given)
    there = Destination.objects.get()
    answer = owner.post(f"/alerts/destinations/{there.pk}/test/", follow=True)
    assert "No owner of this seller has an e-mail address." in text_of(answer)
    wrong = owner.post(f"/alerts/destinations/{there.pk}/", {**given, "to": "a@example.com, nonsense"})
    assert wrong.status_code == 200
    owner.post(f"/alerts/destinations/{there.pk}/", {**given, "to": "a@example.com"})
    with mail_server() as box:
        mail_settings(settings, box.port)
        answer = owner.post(f"/alerts/destinations/{there.pk}/test/", follow=True)
    assert "The test was sent to Mail." in text_of(answer)
    assert box.mails[0]["Subject"] == "Casa: isto é um teste"


@pytest.mark.parametrize("url", ["nonsense", "ftp://a.example/", "https://", "https://a b.example/", "http://a:99999/"])
def test_an_address_must_be_one(world: World, owner: Client, url: str) -> None:
    given = {"name": "X", "url": url, "language": "en"}
    assert owner.post("/alerts/destinations/add/?kind=chat", given).status_code == 200
    assert not Destination.objects.exists()


def test_a_destination_is_removed(world: World, owner: Client) -> None:
    there = world.alert().rule.destinations.get()
    owner.post(f"/alerts/destinations/{there.pk}/remove/")
    assert not Destination.objects.exists() and Alert.objects.exists()


def test_keys_are_rotated_here_too(world: World, settings: Any) -> None:
    there = world.alert().rule.destinations.get()
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode(), *settings.CREDENTIAL_KEYS]
    call_command("rotate_credentials", verbosity=0, stdout=StringIO())
    there.refresh_from_db()
    assert vault.is_current(there.sealed) and there.open()["url"].startswith("https://chat.example")
