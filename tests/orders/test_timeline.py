import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import translation

from orders import timeline
from orders.models import OrderEvent
from orders.vocabulary import Source
from tests.orders.factory import NOW

ROOT = Path(__file__).resolve().parents[2]
# Calls that write a timeline event, with its code as a literal.
WRITTEN = re.compile(r"""(?:append\(\s*[\w.]+,|_tell\(|entry\(\s*[\w.]+,)\s*"([a-z_]+)\"""")


def event(code: str, minutes: int = 0, **data: object) -> OrderEvent:
    return OrderEvent(code=code, at=NOW + timedelta(minutes=minutes), source=Source.HUB.value, data=data)


def codes_in_the_code() -> set[str]:
    files = [file for package in ("orders", "connectors", "monitoring") for file in (ROOT / package).rglob("*.py")]
    return {code for file in files for code in WRITTEN.findall(file.read_text())}


def test_every_code_that_is_written_has_a_sentence() -> None:
    written = codes_in_the_code()
    assert {"received", "invoice_refused", "exported"} <= written
    assert written <= timeline.SENTENCES.keys()


@pytest.mark.parametrize("code", sorted(timeline.SENTENCES))
def test_every_sentence_can_be_read_without_its_data(code: str) -> None:
    assert "%(" not in timeline.sentence(event(code))


def test_a_sentence_shows_its_data_in_words() -> None:
    with translation.override("en"):
        assert timeline.sentence(event("exported", number="7", erp="Bling")) == "Written into Bling under number 7."
        assert timeline.sentence(event("held", hold="money")) == "Held: The amounts do not add up."
        assert timeline.sentence(event("changed", fields=["total", "buyer"])) == "Changed by the channel: total, buyer."
        told = timeline.sentence(event("sent_to_channel", what="invoice", number="9", message=""))
        assert told == "Invoice 9 accepted by the channel."
        assert "11/19/2026" in timeline.sentence(event("shipped", when=NOW.isoformat()))


def test_percent_signs_in_data_are_data() -> None:
    assert timeline.sentence(event("note", text="100 %(number)s %")) == "100 %(number)s %"


def test_an_unknown_code_shows_itself() -> None:
    assert timeline.sentence(event("moon_landing", year=1969)) == "moon_landing 1969"


def test_another_layer_adds_codes_but_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "SENTENCES", dict(timeline.SENTENCES))
    timeline.register({"moon_landing": "On the moon in %(year)s."})
    assert timeline.sentence(event("moon_landing", year=1969)) == "On the moon in 1969."
    with pytest.raises(ValueError, match="moon_landing"):
        timeline.register({"moon_landing": "again"})


def test_equal_events_in_a_row_are_one_entry() -> None:
    events = [event("retried", 0), event("retried", 1), event("note", 2, text="a"), event("note", 3, text="b")]
    entries = timeline.collapsed([*events, event("retried", 4)])
    assert [(entry.event.code, entry.count) for entry in entries] == [
        ("retried", 2),
        ("note", 1),
        ("note", 1),
        ("retried", 1),
    ]
    assert entries[0].last_at == NOW + timedelta(minutes=1)
    assert timeline.sentence(entries[2]) == "b"
