from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.monitoring.reconciliation.shop import Shop


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    from tests.monitoring.reconciliation.shop import open_shop

    with open_shop() as opened:
        yield opened
