"""Orders through their whole way, against a plain script that makes the very same calls."""

import json
import subprocess
import sys
import time

from monitoring.bench import servers
from monitoring.bench.hub import Call, Hub, hub
from monitoring.bench.measure import Report, percentile

ORDERS = 1000
# The caches of both sides are filled first.
WARM_UP = 40
RUNS = 3
SECONDS = 300.0


def run() -> Report:
    report = Report()
    mine, plain = [], []
    for _turn in range(RUNS):
        # A hub of its own each time: it would find what the script left in the ERP, and read that, too.
        with hub(poll_seconds=1) as started:
            started.listen()
            _through(started, WARM_UP)
            mine.append(ORDERS / _through(started, ORDERS))
            started.memory(report)
            started.pause()
            plain.append(ORDERS / _replayed(started))
    figure, yardstick = percentile(mine, 0.5), percentile(plain, 0.5)
    report.add(
        "pipeline: whole way, 2 workers", f"{figure:.1f} orders/s", f"plain script: {yardstick:.1f} orders/s",
        figure / yardstick, at_least=0.5,
    )  # fmt: skip
    return report


def _through(started: Hub, orders: int) -> float:
    """Seconds from placing the orders to when ERP and channels both know everything of each, exactly once."""
    started.calls.clear()
    begun = time.monotonic()
    placed = started.place(orders)
    started.wait_for(placed, SECONDS)
    return time.monotonic() - begun


def _replayed(started: Hub) -> float:
    """Seconds that the script takes for the calls of the last run, with the simulators as they are now."""
    urls = {kind: server.url for kind, server in started.world.servers.items()}
    calls = [_plain(urls[call.kind], call) for call in started.calls]
    path = started.folder / "calls.json"
    path.write_text(json.dumps(calls))
    command = [sys.executable, str(servers.ROOT / "monitoring" / "bench" / "plain_script.py"), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own script
    return float(done.stdout)


def _plain(url: str, call: Call) -> dict[str, object]:
    kept = {name: value for name, value in call.headers.items() if name not in {"host", "content-length"}}
    return {
        "method": call.method,
        "url": url + call.path,
        "params": [[name, value] for name, values in call.query.items() for value in values],
        "headers": kept,
        "body": call.body.decode("latin-1"),
    }
