"""What happened, what it means, how it is solved: in both languages, and with a link that lands on the fix."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from connectors.failures import Category
from monitoring.incidents import cure, groups, remedies
from monitoring.incidents.plan import Choice
from monitoring.models import Incident
from tests.monitoring.incidents.shop import Toys
from tests.monitoring.incidents.test_cure import client_of
from tests.monitoring.test_language import SAME, messages, visible_texts
from tests.monitoring.world import World, text_of

SENTENCES = {
    **{f"meaning of {name}": text for name, text in remedies.MEANINGS.items()},
    **{f"how {name}": text for name, text in remedies.HOW.items()},
    **{f"how {name}": text for name, text in remedies.BY_CATEGORY.items()},
    "how to read": remedies.HOW_TO_READ,
    "how to poll": remedies.HOW_TO_POLL,
}


@pytest.mark.parametrize("name", SENTENCES)
def test_every_sentence_is_there_in_portuguese(name: str) -> None:
    with translation.override("en"):
        english = str(SENTENCES[name])
    with translation.override("pt-br"):
        assert str(SENTENCES[name]) != english


def test_every_category_and_operation_has_words() -> None:
    from connectors.operations import OPERATIONS

    assert set(remedies.BY_CATEGORY) == set(Category)
    assert set(OPERATIONS) <= set(remedies.MEANINGS)


def test_no_remedy_is_for_a_code_that_nobody_gives() -> None:
    root = Path(settings.BASE_DIR) / "connectors"
    given = {
        code
        for path in root.rglob("*.py")
        for code in re.findall(r"""code=["'](\w+)["']|NOT_YET = ["'](\w+)["']""", path.read_text())
    }
    assert {*remedies.HOW, *remedies.BY_HAND, *remedies.UNKNOWN_SKU} <= {one for pair in given for one in pair}


KINDS: Mapping[str, tuple[dict[str, str], str]] = {
    "a lost sign-in": ({"operation": groups.CONNECTION, "cause": groups.SIGN_IN, "category": "auth"}, "/sign-in/"),
    "a service that is away": (
        {"operation": groups.CONNECTION, "cause": groups.AWAY, "category": "transient"},
        "/connections/",
    ),
    "a poll": ({"operation": groups.POLL, "cause": groups.POLL, "category": "bug"}, "/connections/"),
    "a setting": ({"operation": "send_dispatch", "category": "rejected", "code": "no_carrier"}, "/change/"),
    "one order": ({"category": "rejected"}, "/orders/"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_link_lands_on_the_fix(owner: Client, world: World, kind: str) -> None:
    facts, place = KINDS[kind]
    world.export_job(world.order("1"))
    address, label = remedies.fix(world.incident(**facts))
    assert place in address and label
    assert owner.get(address).status_code == 200


def test_a_document_is_the_fix_of_unreadable_ones(owner: Client, world: World) -> None:
    entry = world.rejected("9")
    incident = world.incident(operation=groups.READ, connection=world.shop)
    address, _label = remedies.fix(incident)
    assert address == f"/failures/documents/{entry.pk}/"
    assert owner.get(address).status_code == 200


def test_orders_with_one_sku_are_found_by_it(owner: Client, world: World) -> None:
    message = "$.items[0].sku: Bling has no product with the code 'CAF-500'."
    for number in "12":
        world.export_job(world.order(number), code="sku", error=message)
    address, _label = remedies.fix(world.incident(code="sku"))
    assert {row.order.external_id for row in owner.get(address).context["rows"]} == {"1", "2"}


@pytest.mark.parametrize(
    ("code", "message", "sku"),
    [
        ("sku", "$.items[0].sku: Bling has no product with the code 'CAF 5'.", "CAF 5"),
        ("unknown_sku", "items.2: Tryton has no product with the code 'X-1'.", "X-1"),
        ("sku", "$.items[0].sku: The line has no SKU.", ""),
        ("closed", "Bling has no product with the code 'X'.", ""),
    ],
)
def test_the_sku_is_read_from_the_refusal(code: str, message: str, sku: str) -> None:
    assert remedies.sku_of(code, message) == sku


def test_several_are_named_without_what_differs(world: World) -> None:
    message = "$.items[0].sku: Bling has no product with the code 'CAF-500'."
    with translation.override("en"):
        assert remedies.what(world.incident(message=message, blocked=1)).endswith("the code 'CAF-500'.")
        Incident.objects.all().delete()
        assert remedies.what(world.incident(message=message, blocked=2)) == "Bling has no product with the code …"


@pytest.mark.parametrize("language", ["pt-br", "en"])
def test_the_look_before_a_cure_speaks_one_language(toys: Toys, language: str) -> None:
    toys.erp.missing, toys.erp.refused = {"LAMP"}, {"2"}
    toys.place(["1"], sku="LAMP")
    toys.place(["2"])
    toys.run()
    client = client_of(toys)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    foreign, own = set(), set()
    for source, translated in messages():
        if "%" not in source and len(source) > 2 and source not in SAME:
            foreign.add(source if language == "pt-br" else translated)
            own.add(translated if language == "pt-br" else source)
    for incident in toys.gather():
        cure.begin(incident, Choice(), "ana")
        toys.drain()
        for page in (client.post(f"/incidents/{incident.pk}/preview/"), client.get(f"/incidents/{incident.pk}/")):
            assert page.status_code == 200
            assert not visible_texts(text_of(page)) & (foreign - own)
