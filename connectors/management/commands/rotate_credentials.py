from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from connectors.models import Credential
from hub import vault


class Command(BaseCommand):
    help = "Seals every stored secret with the newest of CREDENTIAL_KEYS. Can be stopped and started again."

    def handle(self, *args: Any, **options: Any) -> None:
        turned = left = 0
        for pk in Credential.objects.values_list("pk", flat=True).order_by("pk"):
            with transaction.atomic():
                row = Credential.objects.select_for_update().get(pk=pk)
                if vault.is_current(row.sealed):
                    continue
                try:
                    row.sealed = vault.reseal(row.sealed)
                except vault.VaultLocked as error:
                    left += 1
                    self.stderr.write(f"connection {pk}: {error}")
                    continue
                row.save(update_fields=["sealed"])
                turned += 1
        self.stdout.write(f"{turned} sealed with the newest key, {left} could not be opened.")
        if left:
            raise SystemExit(1)
