import pytest
from pydantic import ValidationError

from tests.orders.factory import document, item


def test_text_no_database_could_keep_is_replaced() -> None:
    assert document(raw_status="a\x00b\ud800").raw_status == "a\ufffdb\ufffd"


def test_equal_content_has_equal_hashes_and_every_change_another() -> None:
    assert document().content_hash == document().content_hash
    assert document().content_hash != document(raw_status="new").content_hash


def test_the_grains_id_comes_first_and_every_id_once() -> None:
    assert document("S", external_ids=("M", "S", "M")).ids == ("S", "M")


def test_an_order_without_lines_or_a_line_without_pieces_cannot_be_built() -> None:
    with pytest.raises(ValidationError):
        document().model_validate({**document().model_dump(), "items": ()})
    with pytest.raises(ValidationError):
        item(quantity=0)
