"""Which services there are. Built-in ones are listed here; others come through the entry point group
`entreposto.services`, from packages of their own. Kinds are plain strings in the database.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from connectors.contract import Role, Service
from connectors.failures import Category, Failure

BUILT_IN = (
    "connectors.channels.mercado_livre",
    "connectors.channels.amazon",
    "connectors.erps.bling",
    "connectors.erps.tryton",
)
ENTRY_POINTS = "entreposto.services"


@cache
def services() -> Mapping[str, Service]:
    """kind -> service."""
    found = [import_module(module).SERVICE for module in BUILT_IN]
    found += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    return {service.kind: service for service in found}


def service(kind: str) -> Service:
    try:
        return services()[kind]
    except KeyError:
        raise Failure(
            Category.BUG,
            f"No service {kind!r} is installed. Known: {', '.join(sorted(services()))}.",
        ) from None


def of_role(role: Role) -> list[Service]:
    return [one for one in services().values() if one.role is role]


def load(path: str) -> Any:
    """`package.module:name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def mapping_of(kind: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    mapping: Callable[[Mapping[str, Any], Mapping[str, Any]], Any] = load(service(kind).mapping)
    return mapping
