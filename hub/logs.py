"""Log lines that name what they are about: every line written inside `about(order=…, job=…)` carries these ids."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ids: ContextVar[dict[str, int | None]] = ContextVar("about", default={})  # noqa: B039 - replaced, never changed


@contextmanager
def about(**ids: int | None) -> Iterator[None]:
    """Ids by name ("order", "connection", "job"); inner ones join the outer ones."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


class Ids(logging.Filter):
    """Puts the ids on each record: `about` for the line, and one attribute each for JSON."""

    def filter(self, record: logging.LogRecord) -> bool:
        known = {name: value for name, value in _ids.get().items() if value is not None}
        record.about = " ".join(f"{name}={value}" for name, value in known.items())
        for name, value in known.items():
            setattr(record, name, value)
        return True
