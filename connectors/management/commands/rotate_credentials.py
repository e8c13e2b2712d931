from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import Model

from hub import vault


class Command(BaseCommand):
    help = "Seals every stored secret with the newest of CREDENTIAL_KEYS. Can be stopped and started again."

    def handle(self, *args: Any, **options: Any) -> None:
        turned = left = 0
        for model, column in _sealed():
            rows = model._default_manager.exclude(**{column: ""}).order_by("pk")
            for pk in rows.values_list("pk", flat=True).iterator():
                done = self._turn(model, column, pk)
                turned, left = turned + (done is True), left + (done is False)
        self.stdout.write(f"{turned} sealed with the newest key, {left} could not be opened.")
        if left:
            raise SystemExit(1)

    def _turn(self, model: type[Model], column: str, pk: int) -> bool | None:
        """Whether it could be opened; None where nothing is to be done."""
        with transaction.atomic():
            row: Any = model._default_manager.select_for_update().filter(pk=pk).only(column).first()
            if row is None or vault.is_current(getattr(row, column)):
                return None
            try:
                setattr(row, column, vault.reseal(getattr(row, column)))
            except vault.VaultLocked as error:
                self.stderr.write(f"{model._meta.verbose_name} {pk}: {error}")
                return False
            row.save(update_fields=[column])
            return True


def _sealed() -> list[tuple[type[Model], str]]:
    """Every column that holds something sealed; their names say so."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed")
    ]
