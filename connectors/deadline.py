"""A total deadline for a call, and a look at the address it really connects to.

`requests` counts silence, not time: a server that sends a byte a second is never too slow for it. So a watchdog
shuts the socket of a call that has had its time. And a name that resolves to a private address is caught where the
socket is connected, after every redirect and every change of DNS.
"""

import contextlib
import heapq
import ipaddress
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_local = threading.local()


class PrivateAddress(OSError):
    """Connections to private or local addresses are not allowed."""


class Guard:
    """One call's deadline (monotonic seconds). `fired` tells a shut socket from one the other side closed."""

    def __init__(self, deadline: float, allow_private: bool) -> None:
        self.deadline = deadline
        self.allow_private = allow_private
        self.fired = False
        self.done = False
        self.sent = False
        self._socket: socket.socket | None = None

    def attach(self, sock: socket.socket | None) -> None:
        self._socket = sock

    def check(self, sock: socket.socket | None) -> None:
        """Time may have run out where there was no socket to shut: in a slow look-up of a name, or a handshake."""
        if self.fired or time.monotonic() >= self.deadline:
            self.fired = True
            if sock is not None:
                sock.close()
            raise TimeoutError("the call's time is over")

    def fire(self) -> None:
        self.fired = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    """One thread for all calls of the process; it sleeps until the next deadline."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Guard]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, guard: Guard) -> None:
        with self._changed:
            # Checked each time: the thread does not survive a fork.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="call-deadlines", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (guard.deadline, next(self._count), guard))
            if self._heap[0][2] is guard:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while (guard := self._earliest()) is None or guard.deadline > time.monotonic():
                    self._changed.wait(guard.deadline - time.monotonic() if guard else None)
                heapq.heappop(self._heap)
            if not guard.done:
                guard.fire()

    def _earliest(self) -> Guard | None:
        """Of those that still go on: calls mostly end long before, and nobody need wake up for them."""
        while self._heap and self._heap[0][2].done:
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None


_watchdog = _Watchdog()


@contextlib.contextmanager
def within(seconds: float, *, allow_private: bool) -> Iterator[Guard]:
    """Everything sent by this thread inside the block ends after `seconds`, answered or not."""
    guard = Guard(time.monotonic() + seconds, allow_private)
    _local.guard = guard
    _watchdog.watch(guard)
    try:
        yield guard
    finally:
        guard.done = True
        _local.guard = None


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global


class _Guarded:
    """Mixed into urllib3's connections."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        guard: Guard | None = getattr(_local, "guard", None)
        if guard is not None:
            guard.attach(sock)
            guard.check(sock)
            if not guard.allow_private and not _is_public(sock.getpeername()[0]):
                sock.close()
                raise PrivateAddress(PrivateAddress.__doc__)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        guard: Guard | None = getattr(_local, "guard", None)
        if guard is not None and self.sock is not None:
            guard.attach(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        guard: Guard | None = getattr(_local, "guard", None)
        if guard is not None:
            guard.attach(self.sock)
            guard.check(self.sock)
            # From here on the other side may have received it.
            guard.sent = True
        super().send(data)  # type: ignore[misc]


class _GuardedHTTPConnection(_Guarded, HTTPConnection):
    pass


class _GuardedHTTPSConnection(_Guarded, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def session() -> requests.Session:
    """This thread's session: connections are reused, cookies and proxies of the environment are not."""
    current: requests.Session | None = getattr(_local, "session", None)
    if current is None:
        current = requests.Session()
        current.trust_env = False
        # A cookie of one seller's call must not travel with another's.
        current.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _GuardedAdapter(pool_connections=16, pool_maxsize=4, max_retries=0)
        current.mount("https://", adapter)
        current.mount("http://", adapter)
        _local.session = current
    return current
