from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors import tokens
from connectors.failures import Category, Failure
from connectors.models import Backfill, Connection, Credential, Job
from monitoring.pages import connect
from tests.monitoring.world import World, browser_of, person, text_of

SECRET = "s3cret-of-the-application"
FORM = {"name": "Bling da loja", "field_client_id": "app-1", "field_client_secret": SECRET}


def test_pause_and_resume_whole_and_by_flow(owner: Client, world: World) -> None:
    path = f"/connections/{world.erp.pk}"
    owner.post(f"{path}/pause/", {"flow": "export"})
    world.erp.refresh_from_db()
    assert (world.erp.state, world.erp.paused_flows) == (Connection.State.ACTIVE, ["export"])
    owner.post(f"{path}/resume/", {"flow": "export"})
    owner.post(f"{path}/pause/")
    world.erp.refresh_from_db()
    assert (world.erp.state, world.erp.paused_flows) == (Connection.State.PAUSED, [])
    owner.post(f"{path}/resume/")
    world.erp.refresh_from_db()
    assert world.erp.state == Connection.State.ACTIVE


def test_what_was_announced_is_listed(owner: Client, world: World, other: World) -> None:
    mine, _theirs = world.rejected("A-1"), other.rejected("B-2")
    page = text_of(owner.get(f"/connections/{world.shop.pk}/"))
    assert f"/failures/documents/{mine.pk}/" in page and "B-2" not in page and "This is not an amount." in page
    mine.__class__.objects.update(received_at=timezone.now() - timedelta(days=2))
    assert "A-1" not in text_of(owner.get(f"/connections/{world.shop.pk}/"))


def test_an_unknown_flow_pauses_nothing(owner: Client, world: World) -> None:
    owner.post(f"/connections/{world.erp.pk}/pause/", {"flow": "nonsense"})
    world.erp.refresh_from_db()
    assert (world.erp.state, world.erp.paused_flows) == (Connection.State.ACTIVE, [])


def test_fetch_one_order(owner: Client, world: World) -> None:
    owner.post(f"/connections/{world.shop.pk}/fetch/", {"number": " 2000001 "})
    assert Job.objects.get(operation="fetch").key == "2000001"


def test_backfill_of_whole_days_with_progress(owner: Client, world: World) -> None:
    path = f"/connections/{world.shop.pk}/"
    owner.post(f"{path}backfill/", {"since": "2026-03-01", "until": "2026-02-01"})
    assert not Backfill.objects.exists()
    owner.post(f"{path}backfill/", {"since": "2026-02-01", "until": "2026-02-28"})
    row = Backfill.objects.get()
    assert ((row.until - row.since).days, row.asked_by) == (28, "ana")
    assert "progressbar" in text_of(owner.get(path))


@pytest.mark.parametrize(("answer", "said"), [((True, "LOJA 1"), "LOJA 1"), ((False, "Wrong key."), "Wrong key.")])
def test_the_connection_is_tested(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch, answer: tuple[bool, str], said: str
) -> None:
    monkeypatch.setattr("connectors.actions.check", lambda connection: answer)
    assert said in text_of(owner.post(f"/connections/{world.shop.pk}/check/", follow=True))


def test_what_it_can_do_is_said_in_words(owner: Client, world: World) -> None:
    page = text_of(owner.get(f"/connections/{world.erp.pk}/"))
    assert "Takes new orders" in page


# --- Setting up ----------------------------------------------------------------------------------------------------


def test_a_secret_is_never_shown_again(owner: Client, world: World) -> None:
    owner.post("/connect/bling/", FORM)
    made = Connection.objects.get(name="Bling da loja")
    assert tokens.secrets_of(made)["client_secret"] == SECRET
    assert SECRET not in str(made.settings)
    for path in (f"/connections/{made.pk}/", f"/connections/{made.pk}/change/"):
        assert SECRET not in text_of(owner.get(path))


def test_a_form_with_an_error_does_not_send_the_secret_back(owner: Client, world: World) -> None:
    page = text_of(owner.post("/connect/bling/", {**FORM, "name": ""}))
    assert SECRET not in page
    assert not Connection.objects.filter(name="Bling da loja").exists()


def test_an_empty_secret_keeps_the_stored_one(owner: Client, world: World) -> None:
    owner.post("/connect/bling/", FORM)
    made = Connection.objects.get(name="Bling da loja")
    owner.post(f"/connections/{made.pk}/change/", {"field_client_id": "app-2", "field_client_secret": ""})
    assert tokens.secrets_of(made)["client_secret"] == SECRET
    assert tokens.secrets_of(made)["client_id"] == "app-2"


TRYTON = {"name": "Tryton", "host_api": "https://erp.example.com/", "field_database": "casa", "field_login": "hub",
          "field_password": SECRET, "field_confirm": "false"}  # fmt: skip


def test_an_installation_of_ones_own_has_its_address(owner: Client, world: World) -> None:
    owner.post("/connect/tryton/", TRYTON)
    made = Connection.objects.get(kind="tryton")
    assert made.settings["hosts"] == {"api": "https://erp.example.com"}
    assert (made.settings["confirm"], made.state) == ("false", Connection.State.ACTIVE)
    assert "https://erp.example.com" in text_of(owner.get(f"/connections/{made.pk}/change/"))
    owner.post(f"/connections/{made.pk}/change/", {**TRYTON, "host_api": "http://10.0.0.7:8000", "field_password": ""})
    made.refresh_from_db()
    assert made.settings["hosts"] == {"api": "http://10.0.0.7:8000"}
    assert tokens.secrets_of(made)["password"] == SECRET


@pytest.mark.parametrize(
    "address",
    ["", "erp.example.com", "ftp://erp.example.com", "https://", "https://a b", "https://erp:99999", "https://[::1",
     "https://me:secret@erp.example.com", "https://erp.example.com/?x=1", "javascript:alert(1)"],
)  # fmt: skip
def test_a_bad_address_connects_nothing(owner: Client, world: World, address: str) -> None:
    answer = owner.post("/connect/tryton/", {**TRYTON, "host_api": address})
    assert answer.context["form"].errors["host_api"]
    assert not Connection.objects.filter(kind="tryton").exists()


def test_only_what_is_meant_for_the_vault_goes_there(owner: Client, world: World) -> None:
    owner.post("/connect/bling/", {**FORM, "field_payment_form": "77"})
    made = Connection.objects.get(name="Bling da loja")
    assert tokens.secrets_of(made) == {"client_id": "app-1", "client_secret": SECRET}
    assert made.settings == {"client_id": "app-1", "payment_form": "77"}


AMAZON = {"name": "Amazon", "field_client_id": "app", "field_client_secret": SECRET, "field_self_ship_invoice": "send"}


def test_a_refresh_token_at_hand_saves_the_sign_in(owner: Client, world: World) -> None:
    waiting = owner.post("/connect/amazon/", AMAZON)
    assert Connection.objects.get(kind="amazon").state == Connection.State.NEW
    assert "sign-in" in waiting.headers["location"]
    owner.post("/connect/amazon/", {**AMAZON, "name": "Private", "field_refresh_token": "Atzr|1"})
    assert Connection.objects.get(name="Private").state == Connection.State.ACTIVE


def test_an_answer_that_was_not_offered_is_refused(owner: Client, world: World) -> None:
    owner.post("/connect/amazon/", {**AMAZON, "field_self_ship_invoice": "perhaps"})
    assert not Connection.objects.filter(kind="amazon").exists()


def test_a_correction_wakes_nothing_that_should_rest(owner: Client, world: World) -> None:
    owner.post("/connect/amazon/", AMAZON)
    made = Connection.objects.get(kind="amazon")
    path = f"/connections/{made.pk}/change/"
    owner.post(path, {**AMAZON, "field_client_secret": "another"})
    made.refresh_from_db()
    assert (made.state, tokens.secrets_of(made)["client_secret"]) == (Connection.State.NEW, "another")
    owner.post(path, {**AMAZON, "field_refresh_token": "Atzr|1"})
    made.refresh_from_db()
    assert made.state == Connection.State.ACTIVE
    owner.post(f"/connections/{made.pk}/pause/")
    owner.post(path, {**AMAZON, "field_client_secret": "a third"})
    made.refresh_from_db()
    assert (made.state, tokens.secrets_of(made)["client_secret"]) == (Connection.State.PAUSED, "a third")


class Consenting:
    """Stands in for an adapter: the code `good` is exchanged, every other is refused."""

    def consent_url(self, state: str) -> str:
        return f"https://service.example/consent?state={state}"

    def exchange(self, code: str, query: dict[str, str]) -> dict[str, Any]:
        if code != "good":
            raise Failure(Category.AUTH, "The code is used up.")
        return {"access_token": "fresh"}


@pytest.fixture
def consenting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "open_adapter", lambda connection: Consenting())


def state_of(client: Client, connection: Connection) -> str:
    location: str = client.post(f"/connections/{connection.pk}/consent/").headers["location"]
    return location.partition("state=")[2]


def test_consent_there_and_back(owner: Client, world: World, consenting: None) -> None:
    Connection.objects.filter(pk=world.shop.pk).update(state=Connection.State.SIGN_IN)
    state = state_of(owner, world.shop)
    owner.get("/connect/callback/", {"state": state, "code": "good"})
    world.shop.refresh_from_db()
    assert world.shop.state == Connection.State.ACTIVE
    assert tokens.secrets_of(world.shop)["access_token"] == "fresh"


def test_signing_in_says_how_long_it_lasts(owner: Client, world: World, consenting: None) -> None:
    shop, path = Connection.objects.filter(pk=world.shop.pk), f"/connections/{world.shop.pk}/"
    assert "Permission" not in text_of(owner.get(path))
    shop.update(kind="amazon")
    owner.get("/connect/callback/", {"state": state_of(owner, world.shop), "code": "good"})
    ends = Credential.objects.get().consent_until
    assert ends is not None and timedelta(days=364) < ends - timezone.now() <= timedelta(days=365)
    assert "in 364 days" in text_of(owner.get(path))
    # Mercado Livre's lasts half a year, anew with each renewal.
    shop.update(kind="mercado_livre")
    Credential.objects.update(expires_at=timezone.now() + timedelta(hours=6))
    assert "renews itself" in text_of(owner.get(path))
    Credential.objects.update(expires_at=None, consent_until=timezone.now())
    assert "ended on" in text_of(owner.get(path))


@pytest.mark.parametrize(("days", "tone"), [(5, "red"), (12, "amber"), (60, "")])
def test_the_lists_count_the_days_of_a_permission(owner: Client, world: World, days: int, tone: str) -> None:
    ends = timezone.now() + timedelta(days=days, hours=1)
    Credential.objects.create(connection=world.erp, consent_until=ends)
    for path in ("/connections/", "/", f"/connections/{world.erp.pk}/"):
        page = text_of(owner.get(path))
        assert (f'<div class="e-{tone}-text">Permission: ends on' in page) is bool(tone), path
        assert (f"in {days} days</div>" in page) is bool(tone), path


def test_the_countdown_costs_no_statement(
    owner: Client, world: World, django_assert_num_queries: Callable[..., Any]
) -> None:
    def ends_soon(row: Connection) -> None:
        Credential.objects.create(connection=row, consent_until=timezone.now() + timedelta(days=5))

    ends_soon(world.erp)
    # What all pages share is read, and kept for a moment.
    owner.get("/connections/")
    with CaptureQueriesContext(connection) as of_two:
        owner.get("/connections/")
    ends_soon(Connection.objects.create(seller=world.seller, kind="bling", role="erp", name="Another"))
    with django_assert_num_queries(len(of_two)):
        assert text_of(owner.get("/connections/")).count("Permission: ends") == 2


def test_a_link_for_the_owner_of_the_shop(owner: Client, viewer: Client, world: World) -> None:
    path, link = f"/connections/{world.shop.pk}/", f"{settings.PUBLIC_URL}/connections/{world.shop.pk}/sign-in/"
    assert link in text_of(owner.get(path))
    assert link not in text_of(viewer.get(path))
    # Whoever is not signed in to the hub does that first, and comes back to it.
    assert Client().get(f"{path}sign-in/").headers["location"].startswith("/login/?next=/connections/")


def test_a_person_says_when_a_permission_ends(owner: Client, world: World) -> None:
    owner.post("/connect/amazon/", {**AMAZON, "field_refresh_token": "Atzr|1"})
    made = Connection.objects.get(kind="amazon")
    path = f"/connections/{made.pk}/change/"
    assert Credential.objects.get().consent_until is None
    owner.post(path, {**AMAZON, "consent_until": "2031-05-20"})
    assert timezone.localdate(Credential.objects.get().consent_until) == date(2031, 5, 20)
    assert 'value="2031-05-20"' in text_of(owner.get(path))
    owner.post(path, {**AMAZON, "consent_until": ""})
    assert Credential.objects.get().consent_until is None
    assert "consent_until" not in owner.get(f"/connections/{world.erp.pk}/change/").context["form"].fields


def test_a_failed_exchange_changes_nothing(owner: Client, world: World, consenting: None) -> None:
    Connection.objects.filter(pk=world.shop.pk).update(state=Connection.State.SIGN_IN)
    answer = owner.get("/connect/callback/", {"state": state_of(owner, world.shop), "code": "bad"}, follow=True)
    world.shop.refresh_from_db()
    assert world.shop.state == Connection.State.SIGN_IN
    assert "The code is used up." in text_of(answer)


def test_a_state_is_good_for_its_own_person_only(owner: Client, world: World, consenting: None) -> None:
    state = state_of(owner, world.shop)
    colleague = browser_of(person("bia", world))
    for client, given in ((colleague, state), (owner, "forged"), (owner, signing.dumps({"connection": 1, "user": 1}))):
        client.get("/connect/callback/", {"state": given, "code": "good"})
        assert tokens.secrets_of(world.shop) == {}
