"""Keeps the simulated world between two starts of the embedded hub: an order placed yesterday is still there."""

import pickle
from pathlib import Path

from connectors.simulation.server import Simulator


def save(simulator: Simulator, path: Path) -> None:
    """Everything of the simulator's state that is plain data; threads and locks are made anew."""
    with simulator.lock:
        state = {name: frozen for name, value in simulator.__dict__.items() if (frozen := _frozen(value)) is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(pickle.dumps(state))
    fresh.replace(path)


def load(simulator: Simulator, path: Path) -> bool:
    """True if there was something to remember. The file is this hub's own, in its own folder."""
    if not path.exists():
        return False
    state = pickle.loads(path.read_bytes())  # noqa: S301 - written by `save`, readable by its owner alone
    for name, frozen in state.items():
        setattr(simulator, name, pickle.loads(frozen))  # noqa: S301
    return True


def _frozen(value: object) -> bytes | None:
    try:
        return pickle.dumps(value)
    except (TypeError, AttributeError, pickle.PicklingError):
        return None
