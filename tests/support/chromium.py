"""A headless browser for tests: the system's Chromium, driven by Playwright (which brings none of its own here)."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    # The pages of the hub must work with nothing but the hub.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
    # Containers give /dev/shm 64 MB, on which a page crashes.
    "--disable-dev-shm-usage",
)


def find() -> Path | None:
    """`CHROMIUM` where set, else the first known name on PATH."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


@contextmanager
def browser() -> Iterator[Browser]:
    """A started browser; RuntimeError when none is installed. ORM calls are allowed inside the block."""
    path = find()
    if path is None:
        raise RuntimeError("Chromium is not installed; `python -m tests.support.install` says how to get it")
    # Chromium's sandbox refuses root.
    options = [*OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with _orm_beside_event_loop(), sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def _orm_beside_event_loop() -> Iterator[None]:
    """Playwright's sync API runs an event loop in this thread, in which Django would refuse every query."""
    name = "DJANGO_ALLOW_ASYNC_UNSAFE"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
