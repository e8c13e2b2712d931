"""What a simulated service tells the hub by itself: sent one after the other, behind the back of its endpoints."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

TRIES = 3
ANSWER_SECONDS = 5.0


class Pusher:
    """Calls `send` with what `give` gets, in order, on a thread of its own that starts with the first."""

    def __init__(self, name: str, send: Callable[[Any], None]) -> None:
        self._name, self._send = name, send
        self._given: queue.Queue[Any] = queue.Queue()
        self._thread: threading.Thread | None = None

    def give(self, push: Any) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"sim-{self._name}-pushes", daemon=True)
            self._thread.start()
        self._given.put(push)

    def _run(self) -> None:
        while True:
            self._send(self._given.get())


def post(url: str, body_of: Callable[[int], bytes], headers: Mapping[str, str]) -> bool:
    """Three tries with a growing pause; `body_of` makes the body of try 1, 2, 3. False when none was taken."""
    for attempt in range(TRIES):
        try:
            sent = requests.post(url, data=body_of(attempt + 1), headers=dict(headers), timeout=ANSWER_SECONDS)
            if sent.ok:
                return True
        except requests.RequestException:
            pass
        time.sleep(0.2 * 2**attempt)
    return False
