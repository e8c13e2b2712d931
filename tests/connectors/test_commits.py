"""What may be lost in a crash of the database server, and what may not."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection as database
from django.db import transaction

from connectors import ledger, tasks, tokens
from connectors.ledger import Step
from connectors.models import Connection
from hub import commits
from tests.support.toy import Toys
from tests.support.toy import toys as running_toys

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(database.vendor != "postgresql", reason="SQLite has one kind of commit"),
]


@pytest.fixture
def toys() -> Iterator[Toys]:
    with running_toys() as started:
        yield started


def shown(question: str = "SHOW synchronous_commit") -> str:
    with database.cursor() as cursor:
        cursor.execute(question)
        return str(cursor.fetchone()[0])


def on_disk(change: Callable[[], object]) -> bool:
    """Whether the log was on the disk up to the change as soon as it was made."""
    before = shown("SELECT pg_current_wal_insert_lsn()")
    change()
    return shown(f"SELECT pg_current_wal_flush_lsn() > '{before}'") == "True"


def test_the_default_comes_back_however_the_block_ends() -> None:
    with commits.repeatable():
        assert shown() == "off"
    assert shown() == "on"
    with pytest.raises(ZeroDivisionError), commits.repeatable():
        raise ZeroDivisionError
    assert shown() == "on"


def test_a_connection_that_broke_inside_is_not_used_again() -> None:
    with commits.repeatable():
        database.connection.close()
    assert shown() == "on"


def test_a_lasting_transaction_is_the_exception() -> None:
    with commits.repeatable():
        with transaction.atomic():
            commits.lasting()
            assert shown() == "on"
        assert shown() == "off"


def test_a_write_to_the_outside_is_on_disk_before_it_begins(toys: Toys) -> None:
    ledger.ask([Step(toys.books.pk, "export", "order:1")])
    with commits.repeatable():
        assert on_disk(lambda: ledger.claim(toys.books, 1))


def test_a_renewed_token_is_on_disk_before_it_is_used(toys: Toys) -> None:
    held = tokens.ConnectionTokens(toys.channel, tokens.secrets_of(toys.channel), lambda old: {"access_token": "new"})
    with commits.repeatable():
        assert on_disk(lambda: held.renew("k" * 12))


@pytest.mark.parametrize("task", [tasks.drain, tasks.poll])
def test_a_workers_own_commits_do_not_wait(
    toys: Toys, task: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(connection: Connection | int, *_more: object) -> bool:
        seen.append(shown())
        return False

    monkeypatch.setattr("connectors.work.drain", look)
    monkeypatch.setattr("connectors.polling.poll", look)
    task(toys.channel.pk)
    assert seen == ["off"] and shown() == "on"
