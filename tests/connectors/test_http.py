"""The one way out, against a server that misbehaves on purpose."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

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
    assert time.monotonic() - started < 10


def test_a_byte_a_second_is_too_slow(server: SimulatorServer) -> None:
    misbehave(server, "drip")
    started = time.monotonic()
    slow = failure(client(server).get, "/orders", operation="list", seconds=1.2)
    assert slow.code == "timeout" and not slow.uncertain
    assert time.monotonic() - started < 10


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


# --- An address that a service hands out


class Depot(Shop):
    """Keeps a file behind a signed address, and notes what it was asked with."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Request] = []

    @route("GET", "/file")
    def file(self, request: Request) -> Response:
        self.asked.append(request)
        if request.param("signature") != KEY:
            return Response(403, f"<Error>{request.param('signature')}</Error>".encode())
        return Response(200, b"the file")

    @route("PUT", "/file")
    def leave(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, b"")


KEY = "canary-signature-of-the-file"


@pytest.fixture
def depot() -> Iterator[SimulatorServer]:
    with SimulatorServer(Depot()) as running:
        yield running


def test_a_file_is_taken_and_left_without_the_connection_s_token(depot: SimulatorServer) -> None:
    recorded: list[Exchange] = []
    signed = client(depot, tokens=Tokens(), record=recorded.append)
    signed.auth = lambda token: {"Authorization": f"Bearer {token}"}
    address = f"{depot.url}/file?signature={KEY}"
    assert signed.handed_out("GET", address, operation="take").content == b"the file"
    sent = {"Content-Type": "text/plain"}
    assert signed.handed_out("PUT", address, operation="leave", data=b"lines", headers=sent).status == 200
    taken, left = depot.simulator.asked  # type: ignore[attr-defined]
    assert "authorization" not in {*taken.headers, *left.headers}
    assert (left.body, left.headers["content-type"], left.param("signature")) == (b"lines", "text/plain", KEY)
    assert [one.url for one in recorded] == [f"{depot.url}/file"] * 2
    assert "canary" not in repr(recorded) and recorded[1].request_body == "lines"


def test_an_address_that_has_died_is_no_matter_of_sign_in(depot: SimulatorServer) -> None:
    recorded: list[Exchange] = []
    calling = client(depot, record=recorded.append)
    died = failure(
        calling.handed_out, "GET", f"{depot.url}/file?signature=canary-of-yesterday", operation="take", unrecorded=True
    )
    assert died.category is Category.TRANSIENT and "no longer good" in died.message
    died = failure(calling.handed_out, "GET", f"{depot.url}/file?signature=canary-of-yesterday", operation="take")
    # The host repeats the signature in its answer.
    assert "canary" not in f"{died} {recorded!r}"


@pytest.mark.parametrize(
    "address",
    [
        "http://files.example/label?k=1",
        "https://files.example:8443/label",
        "https://somebody:secret@files.example/label",
        "https:///label",
        "https://[/label",
        "https://files.example:x/label",
        "ftp://files.example/label",
        "file:///etc/passwd",
        "/label",
        "",
    ],
)
def test_where_a_service_may_not_send_us(depot: SimulatorServer, address: str) -> None:
    recorded: list[Exchange] = []
    calling = client(depot, allow_private=False, record=recorded.append)
    refused = failure(calling.handed_out, "GET", address, operation="take")
    assert (refused.category, refused.code) == (Category.REJECTED, "handed_out")
    assert not recorded


def test_a_name_that_leads_into_the_house_is_not_followed(depot: SimulatorServer) -> None:
    """Judged at the socket, where nothing that the name said counts any more."""
    calling = client(depot, allow_private=False)
    calling._followed = urlsplit  # type: ignore[method-assign, assignment]
    for name in ("127.0.0.1", "localhost"):
        address = f"{depot.url.replace('127.0.0.1', name)}/file?signature={KEY}"
        refused = failure(calling.handed_out, "GET", address, operation="take")
        assert refused.code == "private_address" and KEY not in str(refused)
    assert not depot.simulator.asked  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["redirect", "huge"])
def test_a_file_comes_from_its_address_alone_and_is_no_flood(depot: SimulatorServer, kind: str) -> None:
    misbehave(depot, kind)
    stopped = failure(client(depot).handed_out, "GET", f"{depot.url}/file?signature={KEY}", operation="take")
    assert stopped.category is Category.TRANSIENT
    assert stopped.code == ("too_large" if kind == "huge" else "302")


def test_a_call_may_bring_another_token_than_the_connection_s(server: SimulatorServer) -> None:
    tokens = Tokens()
    signed = client(server, tokens=tokens)
    signed.auth = lambda token: {"Authorization": f"Bearer {token}"}
    assert signed.get("/orders", operation="list", token="fresh").status == 200  # noqa: S106
    assert failure(signed.get, "/orders", operation="list", token="other").status == 401  # noqa: S106
    assert not tokens.renewed
