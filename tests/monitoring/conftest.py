"""Django's models may be imported only once pytest-django has set it up: inside the fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from tests.monitoring.world import World


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    from django.core.cache import cache

    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def world(db: None) -> World:
    from tests.monitoring.world import build

    return build("casa")


@pytest.fixture
def other(db: None) -> World:
    from tests.monitoring.world import build

    return build("outra")


@pytest.fixture
def owner(world: World) -> Client:
    from tests.monitoring.world import browser_of, person

    return browser_of(person("ana", world))


@pytest.fixture
def viewer(world: World) -> Client:
    from tests.monitoring.world import browser_of, person

    return browser_of(person("vera", world, "viewer"))


@pytest.fixture
def stranger(other: World) -> Client:
    from tests.monitoring.world import browser_of, person

    return browser_of(person("zeca", other))
