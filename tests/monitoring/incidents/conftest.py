from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.monitoring.incidents.shop import Toys


@pytest.fixture
def toys(db: None) -> Iterator[Toys]:
    from tests.monitoring.incidents.shop import toys as started

    with started() as made:
        yield made
