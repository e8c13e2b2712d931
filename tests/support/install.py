"""Sees to the programs that tests start: installs them as root on Debian, else says what to install and exits 1."""

import os
import shutil
import subprocess
import sys

from monitoring.bench.servers import find_program
from tests.support import chromium

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]


def missing() -> list[str]:
    """The Debian packages whose programs are not here."""
    found = {
        "postgresql": find_program("initdb") and find_program("postgres"),
        "redis-server": find_program("redis-server"),
        "chromium": chromium.find(),
    }
    return [package for package, path in found.items() if not path]


def install(packages: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*APT, "update"], env=environment, check=True)
    subprocess.run([*APT, "install", "-y", "--no-install-recommends", *packages], env=environment, check=True)


def main() -> int:
    packages = missing()
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        install(packages)
        packages = missing()
    if packages:
        sys.stderr.write(f"The tests need {', '.join(packages)}. On Debian or Ubuntu:\n")
        sys.stderr.write(f"  sudo apt-get update && sudo apt-get install -y {' '.join(packages)}\n")
        sys.stderr.write("Elsewhere: PostgreSQL 14 or newer, Redis 6.2 or newer and Chromium, all on PATH.\n")
    return 1 if packages else 0


if __name__ == "__main__":
    sys.exit(main())
