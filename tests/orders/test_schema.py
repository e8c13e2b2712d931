import json
from io import StringIO

import jsonschema  # type: ignore[import-untyped]
from django.conf import settings
from django.core.management import call_command

from orders.management.commands.order_schema import FILE
from tests.orders.factory import document


def printed() -> str:
    out = StringIO()
    call_command("order_schema", stdout=out)
    return out.getvalue()


def test_the_schema_in_the_documents_is_current() -> None:
    current = (settings.BASE_DIR / FILE).read_text(encoding="utf-8")
    assert current == printed(), "run: python manage.py order_schema --write"


def test_an_order_as_it_is_printed_keeps_to_the_schema() -> None:
    jsonschema.validate(json.loads(document().model_dump_json()), json.loads(printed()))
