"""A person signs in to a service: over the hub's page to the service's and back, all of it spoken."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings
from django.test import Client

from connectors import actions, registry, tokens, work
from connectors.models import Connection, Job
from connectors.simulation.server import SimulatorServer
from tests.monitoring.world import World, text_of

CALLBACK = f"{settings.PUBLIC_URL}/connect/callback/"
# What the application was given by the service; the rest comes of signing in.
APPLICATION = {"client_id", "client_secret"}


@pytest.mark.parametrize(
    ("kind", "chosen", "account"),
    [
        ("mercado_livre", {}, "user_id"),
        ("mercado_livre", {"pkce": "yes"}, "user_id"),
        ("amazon", {"application_id": "amzn1.sp.solution.1"}, "selling_partner_id"),
        ("bling", {}, ""),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_there_and_back(owner: Client, world: World, kind: str, chosen: dict[str, str], account: str) -> None:
    with service_of(kind) as server:
        made = added(world, server, kind, **chosen)
        sign_in(owner, made)
        assert made.state == Connection.State.ACTIVE
        secrets = tokens.secrets_of(made)
        assert secrets["refresh_token"]
        # By this its pushes are known.
        assert made.external_account == str(secrets.get(account, ""))
        assert work.open_adapter(made).check()


@pytest.mark.django_db(transaction=True)
def test_the_pushes_of_who_signed_in_are_known(owner: Client, client: Client, world: World) -> None:
    with service_of("mercado_livre") as server:
        made = added(world, server, "mercado_livre")
        sign_in(owner, made)
        simulator: Any = server.simulator
        push = {
            "topic": "orders_v2",
            "resource": "/orders/2000000000000001",
            "user_id": tokens.secrets_of(made)["user_id"],
            "application_id": simulator.application,
        }
        assert client.post("/push/mercado_livre/app/", push, content_type="application/json").status_code == 200
    assert Job.objects.get(connection=made, operation="fetch").key == "2000000000000001"


@pytest.mark.django_db(transaction=True)
def test_another_account_is_not_mixed_in(owner: Client, world: World) -> None:
    with service_of("mercado_livre") as server:
        made = added(world, server, "mercado_livre")
        Connection.objects.filter(pk=made.pk).update(external_account="77")
        said = sign_in(owner, made)
        assert made.state == Connection.State.NEW and "this connection is for 77" in said
        assert "refresh_token" not in tokens.secrets_of(made)


@pytest.mark.django_db(transaction=True)
def test_an_account_is_connected_once(owner: Client, world: World) -> None:
    with service_of("mercado_livre") as server:
        sign_in(owner, added(world, server, "mercado_livre", name="First"))
        second = added(world, server, "mercado_livre", name="Second")
        said = sign_in(owner, second)
        assert second.state == Connection.State.NEW and "is connected already: First." in said


@contextmanager
def service_of(kind: str) -> Iterator[SimulatorServer]:
    simulator = registry.load(registry.service(kind).simulator)()
    if hasattr(simulator, "redirect_uri"):
        simulator.redirect_uri = CALLBACK
    with SimulatorServer(simulator) as server:
        yield server


def added(world: World, server: SimulatorServer, kind: str, name: str = "New", **chosen: str) -> Connection:
    """As a person's form adds it: with what the application was given, nobody signed in yet."""
    simulator: Any = server.simulator
    hosts = {"hosts": dict.fromkeys(registry.service(kind).hosts, server.url), "calls_per_second": 0}
    given = {key: value for key, value in simulator.account_credentials().items() if key in APPLICATION}
    settings = {key: value for key, value in simulator.account_settings().items() if key != "external_account"}
    made = actions.connect(world.seller, kind, name, {**settings, **hosts, **chosen}, given)
    Connection.objects.filter(pk=made.pk).update(state=Connection.State.NEW)
    return made


def sign_in(owner: Client, made: Connection) -> str:
    """To the service's page and back; what the hub's page says then."""
    away = owner.post(f"/connections/{made.pk}/consent/").headers["location"]
    agreed = requests.get(away, allow_redirects=False, timeout=10)
    back = urlsplit(agreed.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
    page = owner.get(f"{back.path}?{back.query}", follow=True)
    made.refresh_from_db()
    return text_of(page)


def test_who_caught_the_code_of_a_proving_application_can_not_use_it(owner: Client, world: World) -> None:
    simulator = registry.load(registry.service("mercado_livre").simulator)()
    with SimulatorServer(simulator) as server:
        asked = {
            "redirect_uri": CALLBACK,
            "state": "s",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        }
        agreed = requests.get(f"{server.url}/authorization", asked, allow_redirects=False, timeout=10)
        code = agreed.headers["location"].partition("code=")[2].partition("&")[0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": simulator.application,
            "client_secret": simulator.secret,
        }
        assert requests.post(f"{server.url}/oauth/token", form, timeout=10).status_code == 400
