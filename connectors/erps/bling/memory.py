"""What an account's adapters remember between two pieces of work in one process: ids that hardly ever change.

Each worker process has its own, so nothing here may be needed to be right: it only spares calls.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Memory:
    """key -> value for `seconds`, at most `size` of them; the least recently used goes first."""

    def __init__(self, seconds: float, size: int) -> None:
        self.seconds = seconds
        self.size = size
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            until, value = self._held.get(key, (0.0, None))
            if until < time.monotonic():
                self._held.pop(key, None)
                return None
            self._held.move_to_end(key)
            return value

    def put(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._held[key] = (time.monotonic() + self.seconds, value)
            self._held.move_to_end(key)
            while len(self._held) > self.size:
                self._held.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        with self._lock:
            self._held.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
