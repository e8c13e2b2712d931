"""Eight people at once on the list of orders, and what a page weighs: asked of gunicorn as production starts it."""

import gzip
import http.client
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from random import Random
from urllib.parse import urljoin

from django.test import Client

from monitoring.bench import servers
from monitoring.bench.measure import Report, percentile
from monitoring.pages.orders import PART

CLIENTS, WORKERS = 8, 2
# Of each client, of each page.
LOOKS = 12
LONGEST_MS = 100
HEAVIEST_KB = 500
_FONTS = re.compile(rb"""url\(["']?([^"')]+\.woff2)""")
_FILES = re.compile(rb'<(?:link|script)[^>]*?(?:href|src)="(/[^"]+\.(?:css|js)|/theme[^"]*)"')


@contextmanager
def web(database: str, report: Report) -> Iterator[servers.Web]:
    """The pages on this database (its address)."""
    environment = {**os.environ, "DATABASE_URL": database}
    with servers.folder("crowd") as folder, servers.Web(environment, folder, workers=WORKERS) as started:
        yield started
        for number, pid in enumerate(started.family()):
            report.saw(f"gunicorn {number}", pid)


def speed(report: Report, port: int, client: Client, paths: Mapping[str, str], orders: int) -> None:
    """p95 of each of these filters while all clients use all of them, each in an order of its own.

    As the page itself asks: for the list without the frame.
    """
    cookie = _cookie(client)
    looks = list(paths.items()) * LOOKS
    shuffled = [Random(number).sample(looks, len(looks)) for number in range(CLIENTS)]  # noqa: S311 - no secret
    with ThreadPoolExecutor(CLIENTS) as pool:
        # First so that each of the workers has read its templates.
        list(pool.map(lambda own: _look(port, cookie, own[: len(paths)]), shuffled))
        taken = list(chain.from_iterable(pool.map(lambda own: _look(port, cookie, own), shuffled)))
    for name in paths:
        p95 = percentile([ms for page, ms in taken if page == name], 0.95)
        figure = f"{p95:.0f} ms at {orders:,} orders"
        report.add(f"{name}: {CLIENTS} clients", figure, f"{LONGEST_MS} ms", p95 / LONGEST_MS, at_most=1)


def weight(report: Report, port: int, client: Client, paths: Mapping[str, str]) -> None:
    """Of the first visit, as a browser is sent it: the page itself, its style sheets and scripts, their fonts."""
    cookie = _cookie(client)
    for name, path in paths.items():
        page, sent = _get(port, path, cookie)
        files, fonts = _files(port, page, cookie)
        whole = (sent + files + fonts) / 1000
        figure = f"{whole:.0f} kB ({sent / 1000:.0f} HTML, {fonts / 1000:.0f} fonts)"
        report.add(f"{name}: weight", figure, f"{HEAVIEST_KB} kB", whole / HEAVIEST_KB, at_most=1)


def _files(port: int, page: bytes, cookie: str) -> tuple[int, int]:
    """Bytes of the style sheets and scripts that the page names, and of the fonts that those name."""
    files, fonts = 0, set()
    for file in dict.fromkeys(found.decode() for found in _FILES.findall(page)):
        content, sent = _get(port, file, cookie)
        files += sent
        fonts |= {urljoin(file, font.decode()) for font in _FONTS.findall(content)}
    return files, sum(_get(port, font, cookie)[1] for font in fonts)


def _cookie(client: Client) -> str:
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def _look(port: int, cookie: str, pages: Sequence[tuple[str, str]]) -> list[tuple[str, float]]:
    """(page, milliseconds to the last byte) for each, one after the other on one connection."""
    taken = []
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=60)
    for name, path in pages:
        started = time.perf_counter()
        _answer(connection, path, cookie, {PART: "orders"})
        taken.append((name, (time.perf_counter() - started) * 1000))
    connection.close()
    return taken


def _get(port: int, path: str, cookie: str) -> tuple[bytes, int]:
    """The content, and how many bytes of it went over the wire."""
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=60)
    body, encoding = _answer(connection, path, cookie)
    connection.close()
    return gzip.decompress(body) if encoding == "gzip" else body, len(body)


def _answer(
    connection: http.client.HTTPConnection, path: str, cookie: str, headers: Mapping[str, str] | None = None
) -> tuple[bytes, str]:
    connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip", **(headers or {})})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status}")
    return body, response.headers.get("Content-Encoding", "")
