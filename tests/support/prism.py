"""Prism, an independent mock server: it answers from a vendor's own API model and judges every request against it.

`with start_prism(model) as url:` serves one OpenAPI or Swagger model on a loopback port. A request that breaks the
model is answered with 4xx and the header `sl-violations`; the header `Prefer: code=400` or `Prefer: example=name`
chooses among the model's own answers. Installed once, from npm, below the project's `var`, which every test run
shares; a test is skipped where that cannot be.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

PACKAGE, VERSION = "@stoplight/prism-cli", "5.14.2"
PROJECT = Path(__file__).resolve().parent.parent.parent
MODELS = PROJECT.parent / "shared" / "apis" / "models"
INSTALL_SECONDS = 180
# Why it cannot be installed, once that is known: no other test waits for it again.
_missing: list[str] = []
# A large model takes several seconds to be read.
START_SECONDS = 60.0


def vendor_model(*parts: str) -> Path:
    """A model beside the project; skips the test where the models are not there."""
    path = MODELS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the vendor's model ../{path.relative_to(PROJECT.parent)} is not beside the project")
    return path


@contextmanager
def start_prism(model_path: Path, dynamic: bool = False) -> Iterator[str]:
    """A Prism server of this model, as its base URL. `dynamic`: answers are generated from the schema at random."""
    program, port = _installed(), _free_port()
    command = ["node", str(program), "mock", "--host", "127.0.0.1", "--port", str(port), "--errors"]
    command += [*(["--dynamic"] if dynamic else []), str(model_path)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _await_port(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _installed() -> Path:
    """Prism's entry script, installing it the first time; two test runs at once do not disturb each other."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Prism needs node and npm, which are not installed here")
    place = PROJECT / "var" / f"prism-{VERSION}"
    if not place.exists() and not _missing:
        _missing.extend(_install(place))
    if _missing:
        pytest.skip(_missing[0])
    return place / "node_modules" / PACKAGE / "dist" / "index.js"


def _install(place: Path) -> list[str]:
    """Nothing, or why it could not be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=place.parent, prefix="prism-draft-"))
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(draft), f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            return [f"Prism could not be installed from npm: {done.stderr[-300:]}"]
        # Whoever is first wins; the other's copy is thrown away.
        if not place.exists():
            draft.rename(place)
    except subprocess.TimeoutExpired:
        return [f"Prism was not installed from npm within {INSTALL_SECONDS} seconds"]
    except OSError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"Prism did not start: {log.read()[-1000:].decode(errors='replace')}")
