import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from orders.documents import OrderDocument

FILE = Path("docs") / "order.schema.json"


def schema() -> str:
    """The canonical order as JSON Schema, as `normalize` prints it."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **OrderDocument.model_json_schema(mode="serialization"),
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


class Command(BaseCommand):
    help = "Prints the JSON Schema of the canonical order, or writes it to docs/order.schema.json."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help=f"write {FILE} instead of printing")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["write"]:
            self.stdout.write(schema(), ending="")
            return
        path = settings.BASE_DIR / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(schema(), encoding="utf-8")
        self.stdout.write(f"{FILE} written.")
