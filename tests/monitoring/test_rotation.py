from typing import Any

from cryptography.fernet import Fernet
from django.core.management import call_command

from orders import invoices
from tests.monitoring.world import World


def test_an_invoice_stays_readable_under_the_newest_key_alone(world: World, settings: Any) -> None:
    order = world.exported("1")
    invoice = order.invoices.create(seller_id=order.seller_id, key="1" * 44, sealed_xml=invoices.seal(b"<nfeProc/>"))
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode(), *settings.CREDENTIAL_KEYS]
    call_command("rotate_credentials")
    settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS[:1]
    invoice.refresh_from_db()
    assert invoices.unseal(invoice.sealed_xml) == b"<nfeProc/>"
