"""What connectors say is said in Portuguese, with its values in it."""

import pytest
from django.utils import translation
from pydantic import ValidationError

from connectors.failures import Refusal
from monitoring.pages import sentences
from orders.documents import OrderDocument
from tests.monitoring.said import said
from tests.monitoring.test_language import messages


def translated(text: str) -> str:
    with translation.override("pt-br"):
        return sentences.translated(text)


def test_every_message_of_the_connectors_is_known() -> None:
    exact = {source for source, _translated in messages()}
    # Python's own errors by their type, for whoever mends the hub, and pydantic's by their place.
    exact |= {"X: X", "X.X: X"}
    missing = [(where, text) for where, text in said() if text not in exact and sentences.recognised(text) is None]
    assert not missing, "add these to monitoring/pages/sentences.py and to the catalogue"


def test_every_template_is_in_the_catalogue_with_its_values() -> None:
    known = dict(messages())
    for template in sentences.TEMPLATES:
        assert set(sentences._VALUE.findall(known[template])) == set(sentences._VALUE.findall(template)), template


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Bling has no product with the code 'X-1 (new)'.", "O Bling não tem produto com o código 'X-1 (new)'."),
        ("$.buyer.name: is missing", "$.buyer.name: está faltando"),
        (
            "$.items[0]: Bling has no product with the code 'X'.",
            "O Bling não tem produto com o código 'X'. ($.items[0])",
        ),
        ("$.total: expected a number, found a list", "$.total: esperava um número, veio uma lista"),
        ("items.0.quantity: Field required (2 in all)", "Campo obrigatório (2 no total) (items.0.quantity)"),
        (
            "Sale 7 was created in Tryton, but could not be confirmed. Tryton has no sale 7.",
            "A venda 7 foi criada no Tryton, mas não pôde ser confirmada. O Tryton não tem a venda 7.",
        ),
        (
            "The service refused this request. It said: numeroLoja: já existe",
            "O serviço recusou este pedido. Resposta do serviço: numeroLoja: já existe",
        ),
        ("Something that a connector of another house says.", "Something that a connector of another house says."),
        ("50% of it: %(sku)s", "50% of it: %(sku)s"),
    ],
)
def test_said_again_in_portuguese(stored: str, shown: str) -> None:
    assert translated(stored) == shown


def test_in_english_only_the_path_moves_behind() -> None:
    with translation.override("en"):
        text = str(Refusal("Bling has no product with the code 'X'.", path="$.items[0]"))
        assert sentences.translated(text) == "Bling has no product with the code 'X'. ($.items[0])"


def test_what_is_said_of_an_unreadable_order_is_known() -> None:
    raw = {
        "external_id": "",
        "updated_at": "x",
        "placed_at": "2026-01-01",
        "items": [{"quantity": "0"}],
        "total": "1e99",
    }
    with pytest.raises(ValidationError) as caught:
        OrderDocument.model_validate(raw)
    errors = caught.value.errors()
    assert len(errors) > 5
    for error in errors:
        assert translated(f"{error['msg']} (3 in all)") != f"{error['msg']} (3 no total)", error["msg"]
