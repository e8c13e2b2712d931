"""Single-use refresh tokens with many workers, and secrets at rest."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection as database
from django.utils import timezone

from connectors import tokens
from connectors.failures import Category, Failure
from connectors.models import Connection, Credential
from hub import vault
from hub.models import Seller

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 12


class TokenServer:
    """Accepts each refresh token once, like Mercado Livre does."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lock = threading.Lock()

    def refresh(self, secrets: Any) -> dict[str, Any]:
        with self.lock:
            if secrets["refresh_token"] in self.calls:
                raise Failure(Category.AUTH, "invalid_grant")
            self.calls.append(secrets["refresh_token"])
            return made(len(self.calls))


def made(number: int, lives: timedelta = timedelta(hours=6)) -> dict[str, Any]:
    return {
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
        "expires_at": (timezone.now() + lives).isoformat(),
    }


@pytest.fixture
def connection() -> Connection:
    seller = Seller.objects.create(name="S", slug="s")
    row = Connection.objects.create(seller=seller, kind="any", role="erp", name="any")
    tokens.store(row, made(0, timedelta(seconds=-5)))
    return row


def test_many_workers_with_a_dead_token_make_one_call(connection: Connection) -> None:
    server, seen = TokenServer(), list[str]()
    secrets = tokens.secrets_of(connection)
    barrier = threading.Barrier(WORKERS)

    def work() -> None:
        barrier.wait()
        seen.append(tokens.ConnectionTokens(connection, secrets, server.refresh).current())
        database.close()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.calls == ["refresh-0"]
    assert seen == ["access-1"] * WORKERS
    assert tokens.secrets_of(connection)["refresh_token"] == "refresh-1"


def test_a_refused_token_is_renewed_only_if_nobody_did_it_already(connection: Connection) -> None:
    server = TokenServer()
    held = tokens.ConnectionTokens(connection, tokens.secrets_of(connection), server.refresh)
    assert held.renew("access-0") == "access-1"
    late = tokens.ConnectionTokens(connection, made(0), server.refresh)
    assert late.renew("access-0") == "access-1"
    assert len(server.calls) == 1


@pytest.mark.parametrize(("kind", "lasts"), [("mercado_livre", 180), ("bling", 30), ("amazon", 365), ("tryton", None)])
def test_a_renewal_prolongs_the_consent_where_the_service_says_so(
    connection: Connection, kind: str, lasts: int | None
) -> None:
    connection.kind = kind
    connection.save()
    tokens.store(connection, made(0, timedelta(seconds=-5)), consented=True)
    day = timedelta(days=1)
    given = Credential.objects.get().consent_until
    assert given == (None if lasts is None else pytest.approx(timezone.now() + lasts * day, abs=timedelta(minutes=1)))
    earlier = timezone.now() + 5 * day
    Credential.objects.update(consent_until=earlier)
    tokens.ConnectionTokens(connection, tokens.secrets_of(connection), TokenServer().refresh).current()
    renewed = Credential.objects.get().consent_until
    assert renewed is not None and (
        renewed > earlier + 20 * day if kind in ("mercado_livre", "bling") else renewed == earlier
    )


def test_a_lost_consent_leaves_the_stored_pair_alone(connection: Connection) -> None:
    def gone(secrets: Any) -> dict[str, Any]:
        raise Failure(Category.AUTH, "invalid_grant")

    before = Credential.objects.get().sealed
    with pytest.raises(Failure, match="invalid_grant"):
        tokens.ConnectionTokens(connection, tokens.secrets_of(connection), gone).current()
    assert Credential.objects.get().sealed == before


def test_secrets_are_sealed_and_differ_though_equal() -> None:
    one, other = vault.seal({"password": "canary"}), vault.seal({"password": "canary"})
    assert one != other and "canary" not in one + other
    assert vault.unseal(one) == {"password": "canary"}


def test_keys_rotate(connection: Connection, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = settings.CREDENTIAL_KEYS[0], Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [new, old]
    assert tokens.secrets_of(connection)["access_token"] == "access-0"
    call_command("rotate_credentials")
    settings.CREDENTIAL_KEYS = [new]
    assert tokens.secrets_of(connection)["access_token"] == "access-0"
    settings.CREDENTIAL_KEYS = [old]
    with pytest.raises(vault.VaultLocked, match="CREDENTIAL_KEYS"):
        tokens.secrets_of(connection)


def test_rotation_counts_what_it_cannot_open(connection: Connection, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SystemExit):
        call_command("rotate_credentials")
