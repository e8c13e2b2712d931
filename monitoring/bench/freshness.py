"""From the sale at the channel to the order in the ERP, while twenty a second come in and nothing else happens: the
ERP's back office neither invoices nor ships.
"""

import json
import time

from connectors import registry
from connectors.simulation import world
from monitoring.bench import servers
from monitoring.bench.hub import Hub, hub
from monitoring.bench.measure import Report, percentile

CHANNEL = "mercado_livre"
PER_SECOND = 20
SECONDS = 30
# Shares and the longest that is allowed for each, in seconds: by push, and by polling alone.
AIMS = ((0.5, 0.3, 30.0), (0.95, 1.0, 60.0), (0.99, 2.0, 60.0))


def run() -> Report:
    report = Report()
    pause = registry.service(CHANNEL).poll_seconds
    for pushes in (True, False):
        with hub(pushes=pushes, back_office=False, kinds=(CHANNEL, world.ERP)) as started:
            # By polling alone the stream has to outlast two polls, or the figure would be an accident.
            delays = _steady(started, SECONDS if pushes else max(SECONDS, 2 * pause))
            started.memory(report)
        way = "push" if pushes else f"polling each {pause} s"
        for share, by_push, by_poll in AIMS:
            delay = percentile(delays, share)
            report.add(
                f"freshness by {way}, p{share * 100:.0f}", f"{delay:.2f} s", f"{PER_SECOND} orders/s, no back office",
                delay, at_most=by_push if pushes else by_poll,
            )  # fmt: skip
    return report


def _steady(started: Hub, seconds: float) -> list[float]:
    """Seconds from the sale to the ERP's answer, for each order."""
    started.listen()
    simulator = started.world.simulator(CHANNEL)
    placed: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(int(PER_SECOND * seconds)):
        time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        at = time.monotonic()
        placed[simulator.place(1, logistic="cross_docking", orders=1)[0]] = at
    servers.wait_until(lambda: len(_created(started)) >= len(placed), 120, "every order is in the ERP", 0.5)
    created = _created(started)
    return [created[external_id] - at for external_id, at in placed.items()]


def _created(started: Hub) -> dict[str, float]:
    """The channel's order number -> when the ERP had it."""
    return {
        str(json.loads(call.body)["numeroLoja"]): call.at
        for call in list(started.calls)
        if call.kind == world.ERP and call.method == "POST" and call.path.endswith("/pedidos/vendas")
    }
