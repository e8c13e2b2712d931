"""Messages reach real servers on loopback; what fails is tried again, and what dies is not lost."""

import json
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone

from connectors.failures import Failure
from hub import vault
from monitoring.alerts import channels, sending, wording
from monitoring.alerts.channels import signature
from monitoring.models import Delivery, Destination
from monitoring.tasks import ping
from tests.monitoring.alerts.receivers import Receiver, mail_server
from tests.monitoring.world import World, person

pytestmark = pytest.mark.django_db
MESSAGE = wording.Message("new", "Casa: New: açúcar", "Linha 1\nhttps://hub.example/alerts/", {"alerts": [], "more": 0})


def destination(world: World, kind: str, **opened: Any) -> Destination:
    return Destination.objects.create(
        seller=world.seller, name="There", kind=kind, language="en", sealed=vault.seal(opened)
    )


def written(to: Destination) -> Delivery:
    made = sending.enqueue(to, MESSAGE, timezone.now())
    assert made is not None
    return made


def test_a_webhook_is_signed_over_time_and_body(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "webhook", url=f"{receiver.url}/in?x=1", secret="s3cret"))
    assert sending.send_due() == 1
    call = receiver.calls[0]
    body = json.loads(call.body)
    assert (call.path, body["id"], body["seller"], body["purpose"]) == ("/in?x=1", made.pk, "casa", "new")
    assert body["subject"] == MESSAGE.subject and body["alerts"] == []
    timestamp = call.headers["Entreposto-Timestamp"]
    assert call.headers["Entreposto-Signature"] == f"sha256={signature('s3cret', timestamp, call.body)}"
    assert signature("s3cret", timestamp, call.body + b" ") != signature("s3cret", timestamp, call.body)
    assert signature("s3cret", "0", call.body) != signature("s3cret", timestamp, call.body)
    assert call.headers["Entreposto-Delivery"] == str(made.pk)


def test_a_known_signature() -> None:
    # echo -n '1700000000.{"a": 1}' | openssl dgst -sha256 -hmac key
    assert (
        signature("key", "1700000000", b'{"a": 1}')
        == "17e36a190ee125a4782d21867ffdf5712238dc71b452ba98254537bfdb4f3a77"
    )


def test_chats_get_text(world: World, receiver: Receiver) -> None:
    written(destination(world, "chat", url=f"{receiver.url}/hook"))
    sending.send_due()
    assert json.loads(receiver.calls[0].body) == {"text": f"{MESSAGE.subject}\n\n{MESSAGE.body}"}


def test_telegram(world: World, receiver: Receiver, settings: Any) -> None:
    settings.TELEGRAM_URL = receiver.url
    written(destination(world, "telegram", token="12:ab", chat="-100"))
    sending.send_due()
    call = receiver.calls[0]
    assert call.path == "/bot12:ab/sendMessage"
    body = json.loads(call.body)
    assert body["chat_id"] == "-100" and body["text"].startswith(MESSAGE.subject)


def mail_settings(settings: Any, port: int) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.DEFAULT_FROM_EMAIL = "Hub <hub@example.com>"


def test_mail_arrives_at_the_owners(world: World, settings: Any) -> None:
    ana = person("ana", world)
    nobody = destination(world, "email", to="")
    assert sending.enqueue(nobody, MESSAGE, timezone.now()) is None
    ana.email = "ana@example.com"
    ana.save()
    vera = person("vera", world, "viewer")
    vera.email = "vera@example.com"
    vera.save()
    with mail_server() as box:
        mail_settings(settings, box.port)
        made = written(nobody)
        assert sending.send_due() == 1
    mail = box.mails[0]
    assert (mail["To"], mail["Subject"]) == ("ana@example.com", MESSAGE.subject)
    assert mail["Message-ID"].startswith(f"<message-{made.pk}@")
    assert "Linha 1" in part(mail, "plain")
    assert '<a href="https://hub.example/alerts/"' in part(mail, "html")


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_what_services_say_cannot_become_html() -> None:
    assert "<script>" not in channels.as_html("<script>alert(1)</script> https://a.example/?a=1&b=2")


def test_mail_to_given_addresses_and_a_server_that_errs(world: World, settings: Any) -> None:
    to = destination(world, "email", to="a@example.com, b@example.com")
    with mail_server() as box:
        mail_settings(settings, box.port)
        box.answer = b"451 try later"
        made = written(to)
        assert sending.send_due() == 0
        made.refresh_from_db()
        assert made.state == Delivery.State.WAITING and "451" in made.error
        box.answer = b"250 queued"
        Delivery.objects.update(due_at=timezone.now())
        assert sending.send_due() == 1
    assert box.mails[0]["To"] == "a@example.com, b@example.com"
    to.refresh_from_db()
    assert to.error == "" and to.told_at


def test_failures_wait_longer_and_longer_and_end_where_people_see_them(world: World, receiver: Receiver) -> None:
    to = destination(world, "chat", url=receiver.url)
    made = written(to)
    receiver.answers = [500] * 99
    waits = []
    for _attempt in range(sending.TRIES):
        assert sending.send_due() == 0
        made.refresh_from_db()
        waits.append((made.due_at - timezone.now()).total_seconds())
        Delivery.objects.update(due_at=timezone.now())
    assert made.state == Delivery.State.FAILED and made.error.startswith("It answered 500")
    assert waits[0] == pytest.approx(30, abs=2) and waits[1] == pytest.approx(60, abs=2)
    assert max(waits) == pytest.approx(3600, abs=2) and sum(waits) > 20 * 3600
    assert sending.send_due() == 0 and len(receiver.calls) == sending.TRIES
    to.refresh_from_db()
    assert to.error
    receiver.answers = []
    sending.again(made)
    assert sending.send_due() == 1
    to.refresh_from_db()
    assert to.error == ""


def test_what_is_refused_is_not_repeated_for_a_day(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "chat", url=receiver.url))
    receiver.answers = [404] * 9
    for _attempt in range(5):
        sending.send_due()
        Delivery.objects.filter(state="waiting").update(due_at=timezone.now())
    made.refresh_from_db()
    assert made.state == Delivery.State.FAILED and len(receiver.calls) == sending.REFUSED_TRIES


def test_a_service_may_ask_for_patience(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "chat", url=receiver.url))
    receiver.answers, receiver.headers = [429], {"Retry-After": "900"}
    sending.send_due()
    made.refresh_from_db()
    assert made.due_at > timezone.now() + timedelta(minutes=14)


def test_redirects_are_not_followed(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "chat", url=f"{receiver.url}/a"))
    receiver.answers, receiver.headers = [302], {"Location": f"{receiver.url}/b"}
    sending.send_due()
    made.refresh_from_db()
    assert [call.path for call in receiver.calls] == ["/a"] and "302" in made.error


def test_private_addresses_are_refused_and_the_address_is_not_told(
    world: World, receiver: Receiver, settings: Any
) -> None:
    settings.SIMULATORS = False
    made = written(destination(world, "chat", url=f"{receiver.url}/secret-token"))
    sending.send_due()
    made.refresh_from_db()
    assert "private" in made.error and receiver.calls == []
    settings.PRIVATE_HOSTS = ["127.0.0.1"]
    Delivery.objects.update(due_at=timezone.now())
    assert sending.send_due() == 1


def test_a_dead_receiver_keeps_its_secret(world: World) -> None:
    made = written(destination(world, "chat", url="http://127.0.0.1:9/secret-token"))
    sending.send_due()
    made.refresh_from_db()
    assert made.error == "The other side could not be reached."


def test_a_slow_receiver_has_its_time_and_no_more(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "chat", url=receiver.url))
    receiver.delay = 1.0
    with patch("monitoring.alerts.channels.SECONDS", 0.3):
        sending.send_due()
    made.refresh_from_db()
    assert made.error == "No complete answer within 0.3 seconds."


# --- Crashes ---------------------------------------------------------------------------------------------------------


def test_a_crash_between_writing_and_sending_loses_nothing(world: World, receiver: Receiver) -> None:
    made = written(destination(world, "chat", url=receiver.url))
    # Claimed, and then the worker died.
    assert sending.claim(timezone.now()) == made
    assert sending.send_due() == 0 and receiver.calls == []
    later = timezone.now() + sending.LEASE
    claimed = sending.claim(later)
    assert claimed == made and claimed.attempts == 2
    assert sending.send(claimed) and len(receiver.calls) == 1


def test_one_that_is_away_holds_up_nobody(world: World, receiver: Receiver) -> None:
    dead, alive = destination(world, "chat", url="http://127.0.0.1:9/x"), destination(world, "chat", url=receiver.url)
    for _message in range(3):
        written(dead)
    written(alive)
    with patch("monitoring.alerts.channels.call", wraps=channels.call) as calls:
        assert sending.send_due() == 1
    assert calls.call_count == 2


def test_two_workers_do_not_send_the_same_one(world: World, receiver: Receiver) -> None:
    written(destination(world, "chat", url=receiver.url))
    now = timezone.now()
    assert sending.claim(now) is not None
    assert sending.claim(now) is None


def test_a_bug_in_a_channel_is_no_silent_death(world: World) -> None:
    made = written(destination(world, "telegram", token="no chat"))
    assert sending.send_due() == 0
    made.refresh_from_db()
    assert made.error == "KeyError: 'chat'" and made.state == Delivery.State.WAITING


def test_old_ones_go(world: World) -> None:
    old, waiting = (written(destination(world, "chat", url="http://127.0.0.1:9")) for _one in range(2))
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=91))
    Delivery.objects.filter(pk=old.pk).update(state="sent")
    sending.prune(timezone.now())
    assert list(Delivery.objects.all()) == [waiting]


# --- Outside ---------------------------------------------------------------------------------------------------------


def test_the_worker_calls_the_outside_watch(receiver: Receiver, settings: Any) -> None:
    ping()
    settings.HEARTBEAT_URL = f"{receiver.url}/beat"
    settings.SIMULATORS = False
    ping()
    assert receiver.calls == []
    from monitoring.tasks import heartbeat

    heartbeat()
    ping()
    assert [(call.method, call.path) for call in receiver.calls] == [("GET", "/beat")]
    receiver.answers = [500]
    ping()


def test_an_address_that_is_none() -> None:
    for address in ("nonsense", "ftp://a.example/", "http://"):
        with pytest.raises(Failure):
            channels.call("POST", address)
