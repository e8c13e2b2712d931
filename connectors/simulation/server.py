"""The HTTP side of every simulator: routes, raw sockets to misbehave with, and a control interface.

Control, beside the simulated protocol (JSON in, JSON out):

* `POST /_sim/faults`  `{"faults": [{"kind": …, "match": "regex on METHOD path", "share": 0.1, "times": 5}]}`
* `DELETE /_sim/faults`, `GET /_sim/state`, `POST /_sim/<name>` -> the simulator's method `sim_<name>(body)`

Fault kinds: see `FAULTS`.
"""

import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

FAULTS = {
    "429": "refuses with the service's own limit answer, before any effect",
    "500": "fails before any effect",
    "502_after": "the effect happens, a gateway's 502 page is answered",
    "cut_before": "closes the connection before any effect",
    "cut_after": "the effect happens, the connection is closed without an answer",
    "hang_before": "never answers, no effect",
    "hang_after": "the effect happens, no answer ever comes",
    "truncated": "the effect happens, half of the answer is sent",
    "html": "a maintenance page with status 200, no effect",
    "drip": "the effect happens, the answer comes a byte a second",
    "redirect": "redirects to another host",
    "huge": "answers 20 MB",
    "expired": "the token counts as expired (401), once per token",
    "slow": "the effect happens and the answer comes after `seconds`",
}
HANG_SECONDS = 60.0
_AFTER_EFFECT = {"502_after", "cut_after", "hang_after", "truncated", "drip", "slow"}


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    args: dict[str, str] = field(default_factory=dict)

    def param(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def params(self, name: str) -> list[str]:
        return self.query.get(name, [])

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Response:
    status: int = 200
    body: Any = None  # bytes as they are, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass
class Fault:
    """`share` of the matching requests (seeded), at most `times` of them."""

    kind: str
    match: str = ""
    share: float = 1.0
    times: int | None = None
    seconds: float = 1.0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(FAULTS)}")


_HTML = {"Content-Type": "text/html"}
_CANNED: dict[str, Callable[[], Response]] = {
    "500": lambda: Response(500, {"message": "internal error"}),
    "502_after": lambda: Response(502, b"<html><h1>502 Bad Gateway</h1></html>", _HTML),
    "html": lambda: Response(200, b"<html>Estamos em manutencao</html>", _HTML),
    "redirect": lambda: Response(302, b"", {"Location": "http://169.254.169.254/latest/meta-data"}),
    "huge": lambda: Response(200, b'{"filler": "' + b"x" * (20 * 1024 * 1024) + b'"}'),
}


Handler = Callable[[Any, Request], Response]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Marks a simulator's method: `@route("GET", "/orders/{id}")`; `{name}` matches one path segment."""

    def mark(function: Handler) -> Handler:
        function.route = (method, pattern)  # type: ignore[attr-defined]
        return function

    return mark


class Simulator:
    """Base of all simulators. State lives in the subclass, guarded by `self.lock` (each request holds it).

    A subclass marks its endpoints with `@route`, its controls with methods `sim_*(body) -> JSON`, and may
    override `limited()` (the service's own 429) and `unauthorised()` (its 401). `requests` counts calls by route;
    a `delay` in seconds is waited before each answer.
    """

    kind = "base"

    def __init__(self, *, seed: int = 1, delay: float = 0.0) -> None:
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.delay = delay
        self.faults: list[Fault] = []
        self.requests: dict[str, int] = {}
        self.expired_tokens: set[str] = set()
        marked = [member for name in dir(type(self)) if hasattr(member := getattr(type(self), name), "route")]
        # "/orders/search" before "/orders/{id}", which would match it too.
        marked.sort(key=lambda member: member.route[1].count("{"))
        self.routes = [(*_compiled(*member.route), member) for member in marked]

    def limited(self, request: Request) -> Response:
        return Response(429, {"message": "too many requests"})

    def unauthorised(self, request: Request) -> Response:
        return Response(401, {"message": "invalid token"})

    def not_found(self, request: Request) -> Response:
        return Response(404, {"message": f"no route {request.method} {request.path}"})

    def tick(self) -> None:
        """Called before each request: lets time pass in the simulated world (a warehouse that ships, say)."""

    def handle(self, request: Request) -> Response:
        for method, regex, name, function in self.routes:
            if method == request.method and (found := regex.fullmatch(request.path)):
                request.args = found.groupdict()
                with self.lock:
                    self.requests[name] = self.requests.get(name, 0) + 1
                    self.tick()
                    response: Response = function(self, request)
                return response
        return self.not_found(request)

    def fault_for(self, request: Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times is not None and fault.hits >= fault.times:
                    continue
                if not re.search(fault.match, f"{request.method} {request.path}"):
                    continue
                if fault.share >= 1 or self.random.random() < fault.share:
                    fault.hits += 1
                    return fault
        return None

    # Control interface

    def control(self, request: Request) -> Response:
        name = request.path.removeprefix("/_sim/").strip("/")
        with self.lock:
            if name == "faults":
                self.faults = (
                    [] if request.method == "DELETE" else [Fault(**fault) for fault in request.json()["faults"]]
                )
                return Response(body={"faults": [fault.__dict__ for fault in self.faults]})
            control = getattr(self, f"sim_{name}", None)
            if control is None:
                return Response(404, {"message": f"no control {name!r}"})
            return Response(body=control(request.json() or {}))

    def sim_state(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"requests": self.requests}


def _compiled(method: str, pattern: str) -> tuple[str, re.Pattern[str], str]:
    regex = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return method, re.compile(regex), f"{method} {pattern}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet; otherwise Nagle and delayed acknowledgement cost 40 ms a call.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: "SimulatorServer"

    def log_message(self, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        simulator = self.server.simulator
        if request.path.startswith("/_sim/"):
            return self._answer(simulator.control(request))
        if simulator.delay:
            time.sleep(simulator.delay)
        fault = simulator.fault_for(request)
        if fault is None:
            return self._answer(self._handled(request))
        return self._misbehave(fault, request)

    def _handled(self, request: Request) -> Response:
        try:
            return self.server.simulator.handle(request)
        except (ValueError, KeyError, TypeError) as error:
            return Response(400, {"message": f"bad request: {error!r}", "error": "bad_request"})

    def _misbehave(self, fault: Fault, request: Request) -> None:
        """Effect first where the fault comes after it, then the fault's own kind of answer."""
        response = self._handled(request) if fault.kind in _AFTER_EFFECT else Response()
        match fault.kind:
            case "cut_before" | "cut_after":
                self._cut()
            case "hang_before" | "hang_after":
                self.server.stopping.wait(HANG_SECONDS)
                self._cut()
            case "truncated" | "drip":
                self._partial(response.encoded(), drip=fault.kind == "drip")
            case "expired":
                self._expire(request)
            case "slow":
                time.sleep(fault.seconds)
                self._answer(response)
            case "429":
                self._answer(self.server.simulator.limited(request))
            case _:
                self._answer(_CANNED[fault.kind]())

    def _expire(self, request: Request) -> None:
        simulator = self.server.simulator
        token = request.headers.get("authorization") or request.headers.get("x-amz-access-token", "")
        if not token or token in simulator.expired_tokens:
            return self._answer(self._handled(request))
        simulator.expired_tokens.add(token)
        return self._answer(simulator.unauthorised(request))

    def _answer(self, response: Response) -> None:
        content = response.encoded()
        self.send_response(response.status)
        headers = {"Content-Type": "application/json; charset=utf-8", **response.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if content and self.command != "HEAD" and response.status != 204:
            self.wfile.write(content)
        self.wfile.flush()

    def _partial(self, content: bytes, *, drip: bool) -> None:
        """Half of a body whose whole length was announced; or all of it, a byte a second."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.flush()
        if not drip:
            self.wfile.write(content[: len(content) // 2])
            return self._cut()
        for place in range(min(len(content), int(HANG_SECONDS))):
            self.wfile.write(content[place : place + 1])
            self.wfile.flush()
            if self.server.stopping.wait(1):
                break
        return self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815


class SimulatorServer(ThreadingHTTPServer):
    """A simulator on a loopback port of its own. `with SimulatorServer(Bling()) as server: server.url`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, simulator: Simulator, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.simulator = simulator
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> "SimulatorServer":
        threading.Thread(
            target=self.serve_forever, args=(0.05,), daemon=True, name=f"sim-{self.simulator.kind}"
        ).start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the simulation, not a traceback."""

    def __enter__(self) -> "SimulatorServer":
        return self.start()

    def __exit__(self, *args: object) -> None:
        self.stop()
