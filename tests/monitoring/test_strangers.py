"""Every address of these pages, walked by people it does not belong to. New addresses are in it by themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.core.serializers import serialize
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from connectors.models import Connection, InboxEntry, Job
from hub.models import Activity, Invitation, Membership, Seller, SignIn
from hub.people import places
from hub.tenancy import sellers_of
from monitoring import urls
from monitoring.models import Alert, AlertRule, BulkTask, Delivery, Destination, Finding, Incident, SavedView
from orders.models import Order, OrderItem, Rule, Shipment
from tests.monitoring.world import World, browser_of, person, text_of

OPEN_TO_ALL = {
    "live", "ready", "beat", "set_language", "theme", "metrics", "invitation",
    "password_reset", "password_reset_confirm",
}  # fmt: skip
# Those a stranger may open, too: they show the stranger's own.
OWN_LISTS = {
    "orders",
    "orders_columns",
    "view_save",
    "bulks",
    "failures",
    "connections",
    "connect_choose",
    "connect",
    "consent_given",
    "api_orders",
    "alerts",
    "alerts_mine",
    "alerts_seen",
    "account_alerts",
    "header",
    "add_rule",
    "automations",
    "automation_add",
    "add_destination",
    "reports",
    "report",
    "report_export",
    "packing",
    "pick_list",
    "pick_list_pdf",
    "packing_slips",
    "packing_danfe",
    "packing_labels",
    "packing_labels_fetch",
    "packing_labels_print",
    "packing_sender",
    "scan",
    "insights",
    "insights_export",
    "people",
    "people_invite",
    "activity",
    "activity_export",
    "seller_choose",
    "account",
    "sessions_end",
    "second_factor",
    "second_factor_begin",
    "second_factor_confirm",
    "second_factor_codes",
    "second_factor_remove",
    "second_step",
    "system",
    "comparison",
    "compare_now",
    "setup",
}
# The row that an address with a number is about.
ROWS: dict[str, Any] = {
    "order": Order, "job": Job, "entry": InboxEntry, "connection": Connection, "api": Order, "incident": Incident,
    "alert": Alert, "rule": AlertRule, "destination": Destination, "delivery": Delivery,
    "membership": Membership, "people": Seller, "invitation": Invitation, "session": SignIn, "finding": Finding,
    "repairs": Seller,
    "view": SavedView, "bulk": BulkTask, "seller": Seller,
    "setup": Seller, "item": OrderItem, "parcel": Shipment, "automation": Rule,
}  # fmt: skip
# What an address with a name is about.
NAMED = {"connect": "bling", "report": "rejected", "report_export": "untransmitted", "insights_export": "channels"}
SECRETS = ("Joana Prado", "52998224725", "SECRET-ORDER", "Bling casa", "Loja casa")
FORM = {
    "reason": "x", "text": "x", "number": "1", "since": "2026-01-01", "until": "2026-01-02", "flow": "", "error": "x",
    "name": "x", "hold": "person",
}  # fmt: skip


def names(patterns: list[Any]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield pattern.name


NAMES = [name for name in names(urls.urlpatterns) if name not in OPEN_TO_ALL]


def fill(world: World) -> None:
    """A row of every kind that an address may be about."""
    order = world.order("SECRET-ORDER", held=True, holds=["fraud"])
    world.export_job(order)
    Shipment.objects.create(order=order, source="erp", external_id="SECRET-ORDER", answer="refused")
    world.call(order)
    world.rejected("SECRET-ORDER")
    world.incident()
    world.alert()
    olga = person("olga", world)
    browser_of(olga)
    Rule.objects.create(seller=world.seller, name="SECRET-ORDER", when={"least": "1"}, hold=True)
    SavedView.objects.create(person=olga, shared_with=world.seller, name="SECRET-ORDER")
    BulkTask.objects.create(person=olga, sellers=[world.seller.pk], kind="hold", params={"ids": [order.pk]})
    Finding.objects.create(seller=world.seller, connection=world.erp, order=order, kind="total_differs", key="t")
    places.invite(world.seller, "new@casa.example", "viewer", "olga")


@pytest.fixture
def paths(world: World) -> dict[str, str]:
    """name -> an address of the first seller's."""
    fill(world)
    return {name: _path(name) for name in NAMES}


def _path(name: str) -> str:
    if name in NAMED:
        return reverse(name, args=[NAMED[name]])
    model = ROWS.get(name.split("_")[0])
    if name in OWN_LISTS or name == "retry_selected" or model is None:
        return reverse(name)
    return reverse(name, args=[model.objects.get(pk=model.objects.order_by("pk").first().pk).pk])


def everything() -> str:
    """All rows that a page could change."""
    labels = ("hub", "orders", "connectors", "monitoring")
    rows = [
        row
        for label in labels
        for model in apps.get_app_config(label).get_models()
        # The log may grow: of what is refused, too.
        if model is not Activity
        for row in model._default_manager.all()
    ]
    return str(serialize("json", rows))


def test_nobody_means_no_seller() -> None:
    assert not sellers_of(AnonymousUser())


# One world for all addresses: each must leave it as it was.


def test_without_a_sign_in_every_address_refuses(paths: dict[str, str]) -> None:
    before = everything()
    for name, path in paths.items():
        for answer in (Client().get(path), Client().post(path, FORM)):
            assert answer.status_code in (302, 403, 405), name
            if answer.status_code == 302:
                assert answer.headers["location"].startswith("/login/"), name
            assert not any(secret in text_of(answer) for secret in SECRETS), name
        assert everything() == before, name


def test_a_stranger_sees_and_changes_nothing(paths: dict[str, str], stranger: Client) -> None:
    before = everything()
    for name, path in paths.items():
        for answer in (stranger.get(path), stranger.post(path, FORM)):
            if name not in OWN_LISTS and name != "retry_selected":
                assert answer.status_code in (403, 404, 405), name
            assert not any(secret in text_of(answer) for secret in SECRETS), name
        assert everything() == before, name


def test_somebody_without_any_seller_sees_nothing(paths: dict[str, str]) -> None:
    nobody = browser_of(person("nobody", None))
    before = everything()
    for name, path in paths.items():
        for answer in (nobody.get(path), nobody.post(path, FORM)):
            assert not any(secret in text_of(answer) for secret in SECRETS), name
        assert everything() == before, name


def test_a_viewer_looks_and_changes_nothing(paths: dict[str, str], viewer: Client) -> None:
    before = everything()
    for name, path in paths.items():
        # 404: work that somebody else began.
        assert viewer.get(path).status_code in (200, 302, 403, 404, 405), name
        answer = viewer.post(path, FORM)
        if name not in OWN_LISTS and name != "retry_selected":
            assert answer.status_code in (403, 404, 405), name
        assert everything() == before, name


def test_a_change_needs_its_token(paths: dict[str, str], world: World) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(person("ana", world))
    before = everything()
    for name, path in paths.items():
        assert careful.post(path, FORM).status_code in (403, 405), name
        assert everything() == before, name


def test_looking_changes_nothing(paths: dict[str, str], owner: Client) -> None:
    before = everything()
    for name in paths.keys() - OWN_LISTS:
        owner.get(paths[name])
        assert everything() == before, name
