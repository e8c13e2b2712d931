"""A seller with one rule, a clock to turn, and receivers that really listen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.monitoring.alerts.bench import Bench
    from tests.monitoring.alerts.receivers import Receiver
    from tests.monitoring.world import World


@pytest.fixture
def bench(world: World) -> Bench:
    from tests.monitoring.alerts.bench import Bench

    return Bench(world.seller)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    from tests.monitoring.alerts.receivers import listening

    with listening() as one:
        yield one
