"""HTTP calls for each order, against the fewest: those that changed something or brought something new."""

from collections.abc import Sequence

from connectors.simulation import world
from monitoring.bench.hub import Call, hub
from monitoring.bench.measure import Report

ORDERS = 100
SECONDS = 120.0
GUARD_SECONDS = 5.0
# Polls go by the clock, not by orders: GET of exactly these.
LISTS = {
    "mercado_livre": {"/orders/search", "/missed_feeds"},
    "amazon": {"/orders/2026-01-01/orders"},
    "bling": {"/Api/v3/pedidos/vendas", "/Api/v3/nfe"},
}


def run() -> Report:
    report = Report()
    with hub(poll_seconds=5) as started:
        started.listen()
        placed = started.place(ORDERS)
        started.wait_for(placed, SECONDS)
        for kind in (*world.CHANNELS, world.ERP):
            orders = sum(map(len, placed.values())) if kind == world.ERP else len(placed[kind])
            made = [call for call in started.calls if call.kind == kind and not _polled(call)]
            fewest = _fewest(made)
            report.add(
                f"calls: {kind}", f"{len(made) / orders:.2f} an order", f"fewest: {fewest / orders:.2f}",
                len(made) / max(fewest, 1), at_most=1.1,
            )  # fmt: skip
        started.memory(report)
    return report


def _polled(call: Call) -> bool:
    # Bling's search by number is a list too, but belongs to an order.
    return call.method == "GET" and call.path in LISTS[call.kind] and "numerosLojas[]" not in call.query


def _fewest(calls: Sequence[Call]) -> int:
    """The same question with the same answer, or the same words sent twice, was one too many. Not so a question just
    before a write to what it is about: the services ask for it (Mercado Livre before it takes an NF-e)."""
    guards = {id(call) for call in calls if call.method == "GET" and _guards(call, calls)}
    return len({_said(call) for call in calls if id(call) not in guards}) + len(guards)


def _guards(question: Call, calls: Sequence[Call]) -> bool:
    return any(
        call.method != "GET" and call.path.startswith(question.path) and 0 <= call.at - question.at < GUARD_SECONDS
        for call in calls
    )


def _said(call: Call) -> tuple[object, ...]:
    answer = call.answer if call.method == "GET" else b""
    return (call.method, call.path, str(sorted(call.query.items())), call.body, answer)
