"""Where the simulated Amazon keeps files: on another host than the API, behind addresses that are signed and die.

As with Amazon's own, the address alone opens them: a call that brings the seller's token along is refused.
"""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from connectors.channels.amazon.simulated_sale import digits
from connectors.channels.amazon.simulated_world import AmazonWorld
from connectors.simulation.server import Request, Response, route


@dataclass
class Stored:
    """`method` is the one call that the address was signed for."""

    method: str
    dies: float
    content_type: str
    content: bytes | None = None


class Store(AmazonWorld):
    """`address_seconds`: how long an address is good."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.address_seconds = 300.0
        self.stored: dict[str, Stored] = {}

    def hand_out(self, request: Request, method: str, content_type: str, content: bytes | None = None) -> str:
        """An address on the host that the API is not asked at, for whoever asked."""
        signature = digits(self.random, 32)
        dies = time.monotonic() + self.address_seconds
        self.stored[signature] = Stored(method, dies, content_type, content)
        port = request.headers.get("host", "").rpartition(":")[2]
        query = urlencode({"X-Amz-Expires": "300", "X-Amz-Signature": signature})
        return f"http://localhost:{port}/store/{len(self.stored)}?{query}"

    def left(self, address: str) -> bytes | None:
        """What was put there."""
        return self.stored[address.rpartition("X-Amz-Signature=")[2]].content

    @route("GET", "/store/{name}")
    def take(self, request: Request) -> Response:
        found = self._opened(request)
        if isinstance(found, Response):
            return found
        return Response(200, found.content or b"", {"Content-Type": found.content_type})

    @route("PUT", "/store/{name}")
    def put(self, request: Request) -> Response:
        found = self._opened(request)
        if isinstance(found, Response):
            return found
        if request.headers.get("content-type") != found.content_type:
            return _denied("SignatureDoesNotMatch")
        found.content = request.body
        return Response(200, b"")

    def _opened(self, request: Request) -> Stored | Response:
        found = self.stored.get(request.param("X-Amz-Signature"))
        if "x-amz-access-token" in request.headers or not request.headers["host"].startswith("localhost"):
            return _denied("InvalidRequest")
        if found is None or found.method != request.method:
            return _denied("SignatureDoesNotMatch")
        return _denied("Request has expired") if found.dies < time.monotonic() else found


def _denied(reason: str) -> Response:
    body = f"<Error><Code>AccessDenied</Code><Message>{reason}</Message></Error>"
    return Response(403, body.encode(), {"Content-Type": "application/xml"})
