"""A real Tryton 7.0 server for tests, and a person who works in it.

The first run installs the released packages into a virtualenv of its own and prepares a database (about a minute).
Both are kept in `var/tryton` of the project: a later run only copies the database and starts the server (about 2 s).
Nothing here is shared with the connector: the two meet only over the wire.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from connectors.simulation.catalogue import SKUS

SERIES = "7.0"
MODULES = [
    "party", "company", "currency", "country", "product", "account", "account_product", "account_invoice", "stock",
    "sale", "account_invoice_stock", "stock_package", "stock_package_shipping", "carrier",
]  # fmt: skip
PACKAGES = [
    *(f"{name}=={SERIES}.*" for name in ("trytond", "proteus", *(f"trytond_{module}" for module in MODULES))),
    "bcrypt",
]
DATABASE = "shop"
LOGIN = "hub"
PASSWORD = "only-for-this-test"
INSTALL_SECONDS = 400
START_SECONDS = 30
# Not HUB_HOME: the tests' own home is thrown away after every run.
CACHE = Path(__file__).resolve().parents[2] / "var" / "tryton"
FILLER = Path(__file__).with_name("tryton_database.py")


class CannotInstall(Exception):  # noqa: N818
    """The packages of the Tryton server could not be installed or set up on this machine."""


class Refused(Exception):  # noqa: N818
    """What the server answered instead of a result: its `error` list."""


@dataclass
class TrytonServer:
    """A running server. The methods do what a person in the back office does, through RPC."""

    url: str
    database: str
    login: str
    password: str
    _session: str = ""
    _context: dict[str, Any] = field(default_factory=dict)

    def call(self, method: str, *params: Any) -> Any:
        """One call of a model, the context added."""
        if not self._session:
            user, session = self._post("common.db.login", [self.login, {"password": self.password}, "en"])[:2]
            self._session = base64.b64encode(f"{self.login}:{user}:{session}".encode()).decode()
            preferences = self._post("model.res.user.get_preferences", [True, {}])
            self._context = {"company": preferences["company"]}
        return self._post(method, [*params, self._context])

    def _post(self, method: str, params: list[Any]) -> Any:
        headers = {"Authorization": f"Session {self._session}"} if self._session else {}
        body = {"id": 1, "method": method, "params": params}
        answer = requests.post(f"{self.url}/{self.database}/", json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        content = answer.json()
        if "error" in content:
            raise Refused(content["error"])
        return content["result"]

    def press(self, model: str, button: str, record: int) -> None:
        """A button; a question ("are you sure?") is answered with yes."""
        for _ in range(5):
            try:
                self.call(f"model.{model}.{button}", [record])
            except Refused as refused:
                error = refused.args[0]
                if error[0] != "UserWarning":
                    raise
                self.call("model.res.user.warning.skip", error[1][0], False)
            else:
                return

    def sales_with_reference(self, reference: str) -> list[dict[str, Any]]:
        fields = ["number", "reference", "comment", "state", "total_amount", "invoices", "shipments", "lines"]
        found: list[dict[str, Any]] = self.call(
            "model.sale.sale.search_read", [["reference", "=", reference]], 0, None, [["id", "ASC"]], fields
        )
        return found

    def post_invoice(self, sale_id: int | str, key: str) -> int:
        """Types the NF-e's key into the sale's draft invoice, attaches the XML and posts it; returns its id."""
        (sale,) = self.call("model.sale.sale.read", [int(sale_id)], ["invoices", "total_amount"])
        (invoice,) = sale["invoices"]
        self.call("model.account.invoice.write", [invoice], {"reference": key})
        xml = nfe_xml(key, sale["total_amount"]["decimal"])
        attachment = {
            "name": "nfe.xml",
            "type": "data",
            "data": {"__class__": "bytes", "base64": base64.b64encode(xml).decode()},
            "resource": f"account.invoice,{invoice}",
        }
        self.call("model.ir.attachment.create", [attachment])
        self.press("account.invoice", "post", invoice)
        return int(invoice)

    def ship(self, sale_id: int | str, tracking: str, carrier: str = "Correios") -> list[int]:
        """Picks, packs and sends every waiting shipment of the sale; returns their ids."""
        (sale,) = self.call("model.sale.sale.read", [int(sale_id)], ["shipments"])
        (carrier_id,) = self.call("model.carrier.search", [["party.name", "=", carrier]], 0, 1, None)
        for shipment in sale["shipments"]:
            values = {"carrier": carrier_id, "shipping_reference": tracking}
            self.call("model.stock.shipment.out.write", [shipment], values)
            for button in ("assign_force", "pick", "pack", "done"):
                self.press("stock.shipment.out", button, shipment)
        return list(sale["shipments"])


@contextmanager
def tryton_server() -> Iterator[TrytonServer]:
    """A server of its own on a free port with a fresh copy of the prepared database; gone afterwards.

    Raises `CannotInstall` where the packages are out of reach.
    """
    python, template = prepared()
    with tempfile.TemporaryDirectory(prefix="tryton-") as folder:
        shutil.copy(template, Path(folder) / f"{DATABASE}.sqlite")
        port = _free_port()
        conf = _write_conf(Path(folder), port)
        with (Path(folder) / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [str(python.with_name("trytond")), "-c", str(conf), "-d", DATABASE],
                stdout=log, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True,
            )  # fmt: skip
        try:
            server = TrytonServer(f"http://127.0.0.1:{port}", DATABASE, LOGIN, PASSWORD)
            _wait_until_up(server, process, Path(folder) / "server.log")
            yield server
        finally:
            _stop(process)


def prepared() -> tuple[Path, Path]:
    """(the server's Python, the database to copy), made now unless an earlier run left them."""
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            # Parallel test processes wait for the first one instead of installing twice.
            fcntl.flock(lock, fcntl.LOCK_EX)
            python = _installed(CACHE)
            return python, _filled(CACHE, python)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or b""
        raise CannotInstall(f"Tryton {SERIES}: {error} {said[-600:].decode('utf-8', 'replace')}") from error


def nfe_xml(key: str, amount: str) -> bytes:
    """The least that an authorised NF-e of this key consists of (unsigned: nobody here checks that)."""
    issued = datetime.now(UTC).replace(microsecond=0).isoformat()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<nfeProc versao="4.00" xmlns="http://www.portalfiscal.inf.br/nfe">'
        f'<NFe><infNFe versao="4.00" Id="NFe{key}"><ide><cUF>{key[:2]}</cUF><mod>55</mod>'
        f"<serie>{int(key[22:25])}</serie><nNF>{int(key[25:34])}</nNF><dhEmi>{issued}</dhEmi></ide>"
        f"<total><ICMSTot><vNF>{amount}</vNF></ICMSTot></total></infNFe></NFe>"
        f"<protNFe><infProt><chNFe>{key}</chNFe><cStat>100</cStat></infProt></protNFe></nfeProc>"
    ).encode()


def nfe_key(number: int, series: int = 1, issuer: str = "11222333000181") -> str:
    """A key of this month with a right check digit."""
    first = f"35{datetime.now(UTC):%y%m}{issuer}55{series:03}{number:09}1{number * 7919 % 10**8:08}"
    weights = [2 + place % 8 for place in range(43)]
    total = sum((ord(char) - 48) * weight for char, weight in zip(reversed(first), weights, strict=True))
    return f"{first}{0 if total % 11 < 2 else 11 - total % 11}"


def _installed(folder: Path) -> Path:
    where = folder / f"venv-{SERIES}"
    python, done = where / "bin" / "python", where / "complete"
    wanted = "\n".join(PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(where, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(where)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])
        done.write_text(wanted)
    return python


def _filled(folder: Path, python: Path) -> Path:
    products = json.dumps([(sku, title, str(price)) for sku, title, price in SKUS])
    content = hashlib.sha256(FILLER.read_bytes() + products.encode() + "\n".join(PACKAGES).encode()).hexdigest()
    # The fiscal year reaches from six months back to five ahead: a template of another quarter is made anew.
    quarter = f"{datetime.now(UTC).year}-{(datetime.now(UTC).month - 1) // 3 + 1}"
    template = folder / f"template-{quarter}-{content[:12]}.sqlite"
    if not template.exists():
        _fill(python, template, products)
    return template


def _fill(python: Path, template: Path, products: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tryton-", dir=template.parent) as folder:
        database = Path(folder) / f"{DATABASE}.sqlite"
        database.touch()
        conf, secret = _write_conf(Path(folder), 0), Path(folder) / "password"
        secret.write_text(PASSWORD + "-of-the-administrator")
        admin = [str(python.with_name("trytond-admin")), "-c", str(conf), "-d", DATABASE]
        update = ["--email", "admin@example.com", "-u", "ir", "res", *MODULES, "--activate-dependencies"]
        _run([*admin, *update], {"TRYTONPASSFILE": str(secret)})
        _run([str(python), str(FILLER), str(conf), DATABASE, products, LOGIN, PASSWORD])
        database.replace(template)


def _run(command: list[str], extra: Mapping[str, str] | None = None) -> None:
    subprocess.run(
        command, check=True, capture_output=True, timeout=INSTALL_SECONDS, env=_environment() | dict(extra or {})
    )


def _environment() -> dict[str, str]:
    """Ours would lead the server's Python to our packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _write_conf(folder: Path, port: int) -> Path:
    conf = folder / "trytond.conf"
    conf.write_text(
        f"[database]\nuri = sqlite://\npath = {folder}\n"
        f"[web]\nlisten = 127.0.0.1:{port}\n"
        "[session]\nauthentications = password\ntimeout = 3600\nmax_age = 86400\n"
    )
    return conf


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(server: TrytonServer, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    body = {"id": 1, "method": "common.server.version", "params": []}
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.post(f"{server.url}/", json=body, timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise CannotInstall(f"The Tryton server did not start: {log.read_text()[-600:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
