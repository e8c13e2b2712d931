import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.registry import services


class Command(BaseCommand):
    help = "Lists every service, its role and what it can do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [
            {
                "kind": service.kind,
                "role": service.role.value,
                "label": service.label,
                "capabilities": sorted(capability.value for capability in service.capabilities),
            }
            for service in services().values()
        ]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(f"{row['kind']:<16} {row['role']:<8} {row['label']:<16} {', '.join(row['capabilities'])}")
