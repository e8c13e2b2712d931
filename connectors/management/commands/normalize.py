import dataclasses
import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydantic import BaseModel

from connectors.failures import Failure
from connectors.intake import interpret
from orders.documents import OrderDocument


class Command(BaseCommand):
    help = "A raw payload of a service in, the canonical document as JSON out; a bad one: what is wrong and where."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("service")
        parser.add_argument("file", nargs="?", default="-")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            source = options["file"]
            body = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
            document = interpret(options["service"], body, {})
        except OSError as error:
            raise CommandError(str(error)) from error
        except Failure as failure:
            raise CommandError(f"{failure.path or '$'}: {failure.message}") from failure
        self.stdout.write(_as_json(document))


def _as_json(document: Any) -> str:
    if isinstance(document, OrderDocument):
        return document.model_dump_json(indent=2)
    return json.dumps(dataclasses.asdict(document), indent=2, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
