"""Runs one benchmark on the servers that the environment names; prints its report as JSON."""

import json
import os
import signal
import sys
from importlib import import_module

import django


def main() -> None:
    # Its servers and workers end with it, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    report = import_module(f"monitoring.bench.{sys.argv[1]}").run()
    sys.stdout.write(json.dumps(report.as_json()) + "\n")


if __name__ == "__main__":
    main()
