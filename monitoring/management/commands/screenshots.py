import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from PIL import Image

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A picture may weigh this much; only its quality gives way.
MOST_BYTES = 150_000
QUALITIES = (86, 70, 50)
# Long enough for the first orders to pass through the simulated ERP, and for the counts of the day.
SETTLES = 75.0
# name -> address, and a selector of the link on it that is followed, where there is one.
PAGES: dict[str, tuple[str, str]] = {
    "today": ("/", ""),
    "setup": ("/setup/", ""),
    "orders": ("/orders/", ""),
    "order": ("/orders/", "table a[href^='/orders/']"),
    "rules": ("/orders/rules/", ""),
    "rule": ("/orders/rules/add/", ""),
    "packing": ("/packing/", ""),
    "pick-list": ("/packing/pick-list/", ""),
    "scan": ("/scan/", ""),
    "reports": ("/reports/", ""),
    "report": ("/reports/awaiting_invoice/", ""),
    "failures": ("/failures/", ""),
    "incident": ("/failures/", "a[href^='/incidents/']"),
    "alerts": ("/alerts/", ""),
    "comparison": ("/comparison/", ""),
    "insights": ("/insights/", ""),
    "connections": ("/connections/", ""),
    "connection": ("/connections/", "table a[href^='/connections/']"),
    "connect": ("/connect/", ""),
    "system": ("/system/", ""),
    "people": ("/people/", ""),
    "activity": ("/people/activity/", ""),
    "account": ("/account/", ""),
    "told": ("/account/told/", ""),
    "for-you": ("/alerts/mine/", ""),
}


class Command(BaseCommand):
    help = "Pictures of every page, desktop and phone, light and dark, of a hub with simulators that starts for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", default="docs/screenshots")
        parser.add_argument("--port", type=int, default=8765)
        parser.add_argument("--language", default="pt-BR")
        parser.add_argument("--pages", nargs="*", choices=sorted(PAGES), default=sorted(PAGES))
        parser.add_argument("--settle", type=float, default=SETTLES, help="seconds that orders have to come in")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["to"])
        folder.mkdir(parents=True, exist_ok=True)
        with _hub(options["port"]) as password, _browser() as browser:
            time.sleep(options["settle"])
            for scheme in SCHEMES:
                for size in SIZES:
                    page = _signed_in(browser, options, password, size, scheme)
                    for name in options["pages"]:
                        self._take(page, name, folder / f"{name}-{size}-{scheme}.webp")
                    page.context.close()

    def _take(self, page: Any, name: str, file: Path) -> None:
        path, link = PAGES[name]
        page.goto(path)
        if link:
            found = page.locator(link)
            if not found.count():
                self.stderr.write(f"{file.name}: nothing to show on {path}")
                return
            page.goto(found.first.get_attribute("href"))
        page.wait_for_load_state("networkidle")
        written = _shrunk(page.screenshot())
        file.write_bytes(written)
        self.stdout.write(f"{file.name}: {len(written) // 1000} kB")


@contextmanager
def _hub(port: int) -> Iterator[str]:
    """A hub of its own with nothing in it but the simulators' orders; gives the password of `admin`."""
    with tempfile.TemporaryDirectory(prefix="entreposto-pictures-") as home:
        known = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        running = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "run", "--port", str(port)],
            env={**known, "HUB_HOME": home, "PYTHONUNBUFFERED": "1", "PUBLIC_URL": f"http://127.0.0.1:{port}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield _password(running.stdout or ())
        finally:
            running.terminate()
            running.wait(timeout=30)


def _password(said: Iterable[str]) -> str:
    """From the lines it greets with."""
    for line in said:
        if found := re.search(r"admin\s+(\S+)\s+\(made for you", line):
            return found[1]
    raise CommandError("The hub did not start.")


@contextmanager
def _browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as missing:
        raise CommandError("Pictures need Playwright: pip install playwright") from missing
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise CommandError("Pictures need Chromium: install it, or name it with CHROMIUM.")
    # Chromium's sandbox refuses root.
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield started
        finally:
            started.close()


def _signed_in(browser: Any, options: dict[str, Any], password: str, size: str, scheme: str) -> Any:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=options["language"],
        color_scheme=scheme,
        reduced_motion="reduce",
        base_url=f"http://127.0.0.1:{options['port']}",
    )
    page = context.new_page()
    page.goto("/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/")
    return page


def _shrunk(picture: bytes, qualities: Sequence[int] = QUALITIES) -> bytes:
    """As WebP, at the best quality that stays below the limit."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    written = b""
    for quality in qualities:
        to = io.BytesIO()
        image.save(to, "WEBP", quality=quality, method=6)
        written = to.getvalue()
        if len(written) <= MOST_BYTES:
            break
    return written
