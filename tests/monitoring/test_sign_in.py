"""A person signs in to a service: over the hub's page to the service's and back, all of it spoken."""

from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings
from django.test import Client

from connectors import actions, registry, tokens, work
from connectors.models import Connection
from connectors.simulation.server import SimulatorServer
from tests.monitoring.world import World

CALLBACK = f"{settings.PUBLIC_URL}/connect/callback/"
# What the application was given by the service; the rest comes of signing in.
APPLICATION = {"client_id", "client_secret"}


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        ("mercado_livre", {}),
        ("mercado_livre", {"pkce": "yes"}),
        ("amazon", {"application_id": "amzn1.sp.solution.1"}),
        ("bling", {}),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_there_and_back(owner: Client, world: World, kind: str, chosen: dict[str, str]) -> None:
    service = registry.service(kind)
    simulator = registry.load(service.simulator)()
    if hasattr(simulator, "redirect_uri"):
        simulator.redirect_uri = CALLBACK
    with SimulatorServer(simulator) as server:
        hosts = {"hosts": dict.fromkeys(service.hosts, server.url), "calls_per_second": 0}
        given = {name: value for name, value in simulator.account_credentials().items() if name in APPLICATION}
        made = actions.connect(world.seller, kind, "New", {**simulator.account_settings(), **hosts, **chosen}, given)
        Connection.objects.filter(pk=made.pk).update(state=Connection.State.NEW)

        away = owner.post(f"/connections/{made.pk}/consent/").headers["location"]
        agreed = requests.get(away, allow_redirects=False, timeout=10)
        back = urlsplit(agreed.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
        owner.get(f"{back.path}?{back.query}")

        made.refresh_from_db()
        assert made.state == Connection.State.ACTIVE
        assert tokens.secrets_of(made)["refresh_token"]
        assert work.open_adapter(made).check()


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
