"""A signed notification verified, stored and answered, against a view that does nothing on the same gunicorn."""

import hashlib
import hmac
import itertools
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

from connectors.models import Connection, InboxEntry
from connectors.simulation import world
from hub.models import Seller
from monitoring.bench import servers
from monitoring.bench.measure import Report, alternate

REQUESTS = 400
CLIENTS = 4
RUNS = 9


def run() -> Report:
    report = Report()
    simulated = world.start((world.ERP,))
    seller = Seller.objects.create(name="Bench", slug="bench")
    connection = world.connect(simulated, seller)[world.ERP]
    secret = simulated.simulator(world.ERP).account_credentials()["client_secret"]
    simulated.stop()
    numbers = itertools.count(1)
    with (
        servers.folder("bench") as folder,
        servers.Web(os.environ, folder, threads=CLIENTS, command=("gunicorn", "monitoring.bench.web")) as web,
    ):
        ready = [_pushes(connection, secret, web.port, numbers) for _ in range(RUNS + 1)]
        empty = [_request("/bench/empty/", b"{}", web.port)] * REQUESTS
        seconds = alternate(
            {"push": lambda: _send(ready.pop(), web.port), "empty": lambda: _send(empty, web.port)}, runs=RUNS
        )
        for number, pid in enumerate(web.family()):
            report.saw(f"gunicorn {number}", pid)
    stored = InboxEntry.objects.filter(connection=connection).count()
    assert stored == REQUESTS * (RUNS + 1), stored  # noqa: S101 - a figure of refused pushes is none
    rate = {name: REQUESTS / taken for name, taken in seconds.items()}
    report.add(
        "push: verified, stored, answered", f"{rate['push']:,.0f}/s", f"empty view: {rate['empty']:,.0f}/s",
        rate["push"] / rate["empty"], at_least=0.3,
    )  # fmt: skip
    return report


def _pushes(connection: Connection, secret: str, port: int, numbers: "itertools.count[int]") -> list[bytes]:
    """Each is about an order of its own: nothing is dropped as known."""
    path = f"/push/{connection.kind}/{connection.push_key}/"
    requests = []
    for number in itertools.islice(numbers, REQUESTS):
        event = {"eventId": f"e{number}", "event": "order.updated", "companyId": "1", "data": {"id": number}}
        body = json.dumps(event).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        requests.append(_request(path, body, port, f"X-Bling-Signature-256: sha256={signature}\r\n"))
    return requests


def _request(path: str, body: bytes, port: int, headers: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {servers.HOST}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def _send(requests: list[bytes], port: int) -> None:
    """From as many clients as gunicorn has threads, each on a connection that stays open. They do next to nothing
    themselves, so that what is measured is the server."""
    shares = [requests[start::CLIENTS] for start in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda share: _client(share, port), shares))


def _client(requests: list[bytes], port: int) -> None:
    connection = socket.create_connection((servers.HOST, port), timeout=30)
    with connection:
        for request in requests:
            connection.sendall(request)
            answer = connection.recv(65_536)
            if b" 200 " not in answer[:15]:
                raise RuntimeError(f"answered {answer[:200]!r}")
            if b"Connection: close" in answer:
                connection.close()
                connection = socket.create_connection((servers.HOST, port), timeout=30)
