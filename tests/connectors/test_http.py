"""The one way out, against a server that misbehaves on purpose."""

import time
from collections.abc import Iterator

import pytest

from connectors.contract import Account, Role, Service
from connectors.failures import Category, Failure, LeaseLost
from connectors.http import Client, Exchange, Surroundings
from connectors.simulation.server import Fault, Request, Response, Simulator, SimulatorServer, route

SERVICE = Service("shop", Role.CHANNEL, "Shop", "", "", hosts={"api": "https://shop.example"})


class Shop(Simulator):
    def __init__(self) -> None:
        super().__init__()
        self.created = 0
        self.valid = "fresh"

    @route("GET", "/orders")
    def orders(self, request: Request) -> Response:
        if request.headers.get("authorization") not in (None, f"Bearer {self.valid}"):
            return Response(401, {"message": "invalid token"})
        return Response(body={"orders": [], "email": "buyer@example.com"})

    @route("POST", "/orders")
    def create(self, request: Request) -> Response:
        self.created += 1
        return Response(201, {"id": self.created})


class Tokens:
    def __init__(self) -> None:
        self.renewed = 0

    def current(self) -> str:
        return "fresh" if self.renewed else "stale"

    def renew(self, stale: str) -> str:
        self.renewed += 1
        return "fresh"


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Shop()) as running:
        yield running


def client(server: SimulatorServer, **around: object) -> Client:
    account = Account(1, "shop", "", {}, {"api": server.url}, {})
    return Client(account, SERVICE, Surroundings(**{"allow_private": True, **around}))  # type: ignore[arg-type]


def misbehave(server: SimulatorServer, kind: str, **how: object) -> None:
    server.simulator.faults = [Fault(kind, **how)]  # type: ignore[arg-type]


def failure(call: object, *args: object, **options: object) -> Failure:
    with pytest.raises(Failure) as caught:
        call(*args, **options)  # type: ignore[operator]
    return caught.value


def test_a_good_answer_is_read_exactly(server: SimulatorServer) -> None:
    assert client(server).get("/orders", operation="list").reader().raw["orders"] == []


@pytest.mark.parametrize("kind", ["cut_after", "502_after"])
def test_a_write_whose_answer_is_lost_is_uncertain_and_sent_once(server: SimulatorServer, kind: str) -> None:
    misbehave(server, kind)
    lost = failure(client(server).post, "/orders", operation="create", json={})
    assert lost.category is Category.TRANSIENT and lost.uncertain
    assert server.simulator.created == 1  # type: ignore[attr-defined]


def test_a_write_that_is_never_answered_ends_at_its_deadline(server: SimulatorServer) -> None:
    misbehave(server, "hang_after")
    started = time.monotonic()
    lost = failure(client(server).post, "/orders", operation="create", json={}, seconds=0.5)
    assert lost.uncertain and lost.code == "timeout"
    assert time.monotonic() - started < 2


def test_a_byte_a_second_is_too_slow(server: SimulatorServer) -> None:
    misbehave(server, "drip")
    started = time.monotonic()
    slow = failure(client(server).get, "/orders", operation="list", seconds=1.2)
    assert slow.code == "timeout" and not slow.uncertain
    assert time.monotonic() - started < 3


def test_a_write_refused_before_it_was_sent_is_certain(server: SimulatorServer) -> None:
    url = server.url
    server.stop()
    account = Account(1, "shop", "", {}, {"api": url}, {})
    gone = failure(
        Client(account, SERVICE, Surroundings(allow_private=True)).post, "/orders", operation="create", json={}
    )
    assert gone.category is Category.TRANSIENT and not gone.uncertain


def test_reads_are_repeated_at_most_twice(server: SimulatorServer) -> None:
    misbehave(server, "500", times=2)
    assert client(server).get("/orders", operation="list").status == 200
    misbehave(server, "500")
    assert failure(client(server).get, "/orders", operation="list").category is Category.TRANSIENT
    assert server.simulator.faults[0].hits == 3


def test_html_with_status_200_is_transient_and_uncertain_for_a_write(server: SimulatorServer) -> None:
    misbehave(server, "html")
    assert failure(client(server).get("/orders", operation="list").reader).code == "not_json"
    assert failure(client(server).post, "/orders", operation="create", json={}).uncertain


def test_truncated_json_is_transient(server: SimulatorServer) -> None:
    misbehave(server, "truncated")
    assert failure(client(server).get, "/orders", operation="list").category is Category.TRANSIENT


def test_twenty_megabytes_are_not_read(server: SimulatorServer) -> None:
    misbehave(server, "huge")
    assert failure(client(server).get, "/orders", operation="list").code == "too_large"


def test_a_redirect_is_not_followed(server: SimulatorServer) -> None:
    misbehave(server, "redirect")
    assert failure(client(server).get, "/orders", operation="list").category is Category.TRANSIENT


def test_private_addresses_are_refused_outside_the_simulation(server: SimulatorServer) -> None:
    refused = failure(client(server, allow_private=False).get, "/orders", operation="list")
    assert refused.code == "private_address" and "private" in refused.message
    named = Account(1, "shop", "", {}, {"api": server.url.replace("127.0.0.1", "localhost")}, {})
    assert failure(Client(named, SERVICE).get, "/orders", operation="list").code == "private_address"


def test_a_stale_token_is_renewed_once_and_the_call_repeated(server: SimulatorServer) -> None:
    tokens = Tokens()
    signed = client(server, tokens=tokens)
    signed.auth = lambda token: {"Authorization": f"Bearer {token}"}
    assert signed.get("/orders", operation="list").status == 200
    assert tokens.renewed == 1


def test_a_token_refused_twice_is_a_matter_of_sign_in(server: SimulatorServer) -> None:
    tokens = Tokens()
    server.simulator.valid = "another"  # type: ignore[attr-defined]
    signed = client(server, tokens=tokens)
    signed.auth = lambda token: {"Authorization": f"Bearer {token}"}
    assert failure(signed.get, "/orders", operation="list").category is Category.AUTH
    assert tokens.renewed == 1


def test_retry_after_becomes_the_time_of_the_next_try(server: SimulatorServer) -> None:
    paused: list[object] = []
    server.simulator.limited = lambda request: Response(429, {}, {"Retry-After": "120"})  # type: ignore[method-assign]
    misbehave(server, "429")
    limited = failure(client(server, pause=lambda *said: paused.append(said)).get, "/orders", operation="list")
    assert limited.category is Category.RATE_LIMITED and limited.retry_at is not None
    assert paused and server.simulator.faults[0].hits == 1


def test_a_lost_lease_stops_the_call_before_it_is_sent(server: SimulatorServer) -> None:
    def lost(seconds: float) -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        client(server, alive=lost).post("/orders", operation="create", json={})
    assert server.simulator.created == 0  # type: ignore[attr-defined]


def test_what_is_recorded_holds_no_secret_and_no_person(server: SimulatorServer) -> None:
    recorded: list[Exchange] = []
    calling = client(server, record=recorded.append, secrets=("canary-secret",))
    calling.get("/orders", operation="list", params={"access_token": "canary-secret", "page": "1"})
    calling.post("/orders", operation="create", json={"client_secret": "canary-secret", "cpf": "39053344705"})
    said = repr(recorded)
    assert "canary" not in said and "buyer@example.com" not in said and "39053344705" not in said
    assert "page=1" in recorded[0].url and recorded[0].status == 200
