"""Stands between the connector and Tryton: notes every call, answers some itself, loses the answers of others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import requests

from connectors.contract import Account, Credentials
from connectors.erps.tryton import SERVICE
from connectors.erps.tryton.adapter import Tryton
from connectors.http import Client, Exchange, Surroundings


@dataclass
class Call:
    path: str
    method: str
    params: list[Any]
    body: dict[str, Any]
    authorization: str


@dataclass
class Wire:
    """`scripted`: method -> what to answer, as (status, body), in turn; the last one stays. `lose`: methods whose
    answer is dropped once, after the server behind (`upstream`) has done its work."""

    upstream: str = ""
    scripted: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    lose: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    url: str = ""

    def says(self, method: str, *results: Any) -> None:
        self.scripted[method] = [(200, {"id": 1, "result": result}) for result in results]

    def fails(self, method: str, *errors: Any) -> None:
        self.scripted[method] = [(200, {"id": 1, "error": error}) for error in errors]

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def answer(self, call: Call, raw: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        self.calls.append(call)
        if call.method in self.scripted:
            turns = self.scripted[call.method]
            status, body = turns.pop(0) if len(turns) > 1 else turns[0]
            return status, body if isinstance(body, bytes) else json.dumps(body).encode()
        if not self.upstream:
            return 404, b"<html>not found</html>"
        answer = requests.post(self.upstream + call.path, data=raw, headers=headers, timeout=20)
        if call.method in self.lose:
            self.lose.remove(call.method)
            return None
        return answer.status_code, answer.content


@contextmanager
def wire(upstream: str = "") -> Iterator[Wire]:
    between = Wire(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            signed = self.headers.get("Authorization", "")
            kept = {"Content-Type": "application/json", **({"Authorization": signed} if signed else {})}
            answer = between.answer(Call(self.path, body["method"], body["params"], body, signed), raw, kept)
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *args: Any) -> None:
            return None

        def finish(self) -> None:
            if not self.wfile.closed and not self.close_connection:
                self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    between.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield between
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Hub:
    """A connection to Tryton without the hub's database: keeps the credentials that `refresh` returns."""

    url: str
    settings: dict[str, Any]
    credentials: Credentials
    exchanges: list[Exchange] = field(default_factory=list)
    renewals: int = 0

    def current(self) -> str:
        return str(self.credentials.get("access_token") or self.renew(""))

    def renew(self, stale: str) -> str:
        self.renewals += 1
        self.credentials = Tryton(self.account(), self._client(None)).refresh()
        return str(self.credentials["access_token"])

    def account(self) -> Account:
        return Account(1, "tryton", "shop", self.settings, {"api": self.url}, dict(self.credentials))

    def _client(self, tokens: "Hub | None") -> Client:
        around = Surroundings(tokens=tokens, allow_private=True, record=self.exchanges.append)
        return Client(self.account(), SERVICE, around)

    def adapter(self, **settings: Any) -> Tryton:
        self.settings = {**self.settings, **settings}
        return Tryton(self.account(), self._client(self))


def scripted_hub(between: Wire) -> Hub:
    """Signed in already, on a 7.0 server with company 1."""
    known = {"access_token": "c2Vzc2lvbg==", "series": "7.0", "context": {"company": 1, "language": "pt"}}
    return Hub(between.url, {"database": "shop", "login": "hub"}, {"password": "right-password", **known})
