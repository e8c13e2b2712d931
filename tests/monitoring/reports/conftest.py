from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.monitoring.reports.shop import Toys


@pytest.fixture
def toys(db: None) -> Iterator[Toys]:
    from django.utils import translation

    from tests.monitoring.reports.shop import toys as started

    with translation.override("en"), started() as made:
        yield made
