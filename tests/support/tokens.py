"""Tokens for adapters that are tested without the hub's database."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Tokens:
    """`http.Tokens` without a vault; renews through the adapter as the hub does."""

    token: str
    adapter: Any = None
    renewed: int = 0

    def current(self) -> str:
        return self.token

    def renew(self, stale: str) -> str:
        assert self.adapter is not None
        self.renewed += 1
        self.token = str(self.adapter.refresh()["access_token"])
        return self.token
