"""Amazon's refusals and quotas: its error envelope, and one token bucket for each operation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from connectors.simulation.server import Request, Response

# Requests a second and burst, by operation.
LIMITS = {
    "searchOrders": (0.0056, 20),
    "getOrder": (0.5, 30),
    "confirmShipment": (2.0, 10),
    "submitInvoice": (1.133, 25),
    "getInvoiceStatus": (1.133, 25),
    "submitShipmentInvoice": (1.133, 25),
    "getShipmentInvoiceStatus": (1.133, 25),
    "createRestrictedDataToken": (1.0, 10),
    "createScheduledPackageBulk": (1.0, 5),
    "createFeedDocument": (0.5, 15),
    "createFeed": (0.0083, 15),
    "getFeed": (2.0, 15),
    "getFeedDocument": (0.0222, 10),
}


class Refused(Exception):  # noqa: N818
    """An error answer in Amazon's own envelope."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.response = Response(status, {"errors": [{"code": code, "message": message, "details": details}]})


@dataclass
class Bucket:
    """A token bucket that fills at `rate` up to `burst`."""

    rate: float
    burst: int
    level: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = float(self.burst)

    def take(self) -> bool:
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class _Guarded(Protocol):
    serial: int

    def authorise(self, request: Request) -> None: ...

    def spend(self, name: str) -> None: ...


def operation(name: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Around an endpoint: token, quota, Amazon's own errors, and the headers every answer has."""

    def mark(function: Callable[..., Response]) -> Callable[..., Response]:
        def guarded(self: _Guarded, request: Request) -> Response:
            self.serial += 1
            headers = {"x-amzn-RequestId": f"00000000-0000-4000-8000-{self.serial:012d}"}
            try:
                self.authorise(request)
                self.spend(name)
                response = function(self, request)
            except Refused as refused:
                response = refused.response
            if response.status < 300 or response.status in (400, 404):
                headers["x-amzn-RateLimit-Limit"] = str(LIMITS[name][0])
            return Response(response.status, response.body, {**response.headers, **headers})

        return guarded

    return mark
