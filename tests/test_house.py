"""The house around the code: what is committed, what production starts, what the documents promise."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.bench.servers import BEAT, ROOT, WEB, WORKER

# Put together here, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
    )
]
OPTIONS = ["--" + name for name in ("index-url", "extra-index-url", "find-links", "trusted-host")]
# The Makefile tells pip-compile to leave these options out; that is no use of them.
NEGATED = re.compile(r"--no-emit-[a-z-]+")
MACHINE_PATH = re.compile(r"(?<![\w./:-])/(?:work|root|opt/" + r"wheels|opt/" + r"pypi)(?:/|\b(?!\w))")
LOCKED = re.compile(r"[\w.\[\]-]+==\S+( \\\n +--hash=sha256:[0-9a-f]{64})+")


def tracked() -> list[Path]:
    """Every file that is, or on the next `git add` would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            yield str(path.relative_to(ROOT)), data.decode(errors="replace")


def offences(name: str, text: str) -> list[str]:
    text = NEGATED.sub("", text)
    found = [word for word in (*REGISTRY_HOSTS, *OPTIONS) if word in text]
    found += [match.group() for match in MACHINE_PATH.finditer(text)]
    # A checkout in a folder at the root, like a container's, has a name too short to be told from others.
    if len(ROOT.parts) > 2 and str(ROOT) in text:
        found.append(str(ROOT))
    return [f"{name}: {word}" for word in found]


def test_no_file_names_a_registry_or_a_place_on_a_machine():
    assert [offence for name, text in texts() for offence in offences(name, text)] == []


@pytest.mark.parametrize(
    "text", [f"see https://{REGISTRY_HOSTS[0]}/x", f"{OPTIONS[0]} x", "cd /" + "work/main", str(ROOT) + "/x"]
)
def test_the_check_above_sees_an_offence(text):
    assert offences("file", text)


def test_no_secret_file_is_tracked():
    assert [path.name for path in tracked() if path.name in {".env", "keys.json"}] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_package_has_version_and_hashes(name):
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text().strip())
    assert len(entries) > 30
    assert [
        entry
        for entry in entries
        if not re.match(r"[\w.\[\]-]+==\S+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n?)+", entry)
    ] == []


def test_the_development_lock_contains_the_production_lock():
    production, development = (
        set(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (ROOT / name).read_text(), re.M))
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert production - development == set()


@pytest.mark.parametrize("package", ["psycopg-binary", "cryptography", "pydantic-core"])
def test_the_lock_installs_on_other_machines_than_the_one_it_was_made_on(package):
    """Compiled packages have one file per Python, system and processor: a lock of one machine would hold one or two."""
    locked = (ROOT / "requirements.txt").read_text()
    entry = re.search(rf"^{package}==.*?(?=^[a-z]|\Z)", locked, re.M | re.S)
    assert entry
    assert entry.group().count("--hash") > 20


@pytest.mark.parametrize("command", [WEB, WORKER, BEAT], ids=lambda command: command[-1])
def test_compose_starts_what_the_tests_start(command):
    written = ", ".join(f'"{word}"' for word in command)
    assert f"command: [{written}" in (ROOT / "docker-compose.yml").read_text()


def test_the_image_starts_the_web_server_as_compose_does_and_not_as_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    started = re.search(r"^CMD (\[.*\])$", dockerfile, re.M)
    assert started
    assert f"command: {started.group(1)}" in (ROOT / "docker-compose.yml").read_text()
    assert re.search(r"^USER hub$", dockerfile, re.M)
    assert "HEALTHCHECK" in dockerfile


def test_the_broker_keeps_and_never_evicts():
    compose = (ROOT / "docker-compose.yml").read_text()
    assert '"--appendonly", "yes", "--maxmemory-policy", "noeviction"' in compose


def test_every_variable_is_documented():
    reads = re.compile(r"""(?:environ\.get|_required|flag|words)\(\s*"([A-Z_]+)\"""")
    sources = [(ROOT / "hub" / name).read_text() for name in ("settings.py", "environment.py")]
    read = {name for source in sources for name in reads.findall(source)}
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    assert "DATABASE_URL" in read
    assert read - documented == set()


def test_env_example_holds_names_the_hub_knows_and_no_secret():
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    assert values.keys() - documented == set()
    assert [values[name] for name in ("POSTGRES_PASSWORD", "SECRET_KEY", "CREDENTIAL_KEYS")] == ["", "", ""]


@pytest.mark.real
def test_the_layers_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
