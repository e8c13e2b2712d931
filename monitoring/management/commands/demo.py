import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from connectors.models import Connection, Job
from connectors.simulation import world
from connectors.simulation.server import FAULTS, Fault
from hub.models import Seller
from monitoring.embedded import workers

# Together one call in ten goes wrong.
FAULT_SHARE = 0.10
# Each of these holds a worker for a call's whole time limit or moves megabytes: a few of each show it.
COSTLY = {"hang_before": 3, "hang_after": 3, "drip": 2, "huge": 2}
# Services on this machine answer in milliseconds.
CALL_SECONDS = 3
# Not on the call that renews a token: a refresh token works once, so where its answer is lost after the effect, or
# it is refused itself, only a person can sign in again.
NEEDS_A_PERSON = frozenset({"502_after", "cut_after", "hang_after", "truncated", "drip", "expired"})
BUT_TOKENS = r"^(?!POST \S*/token$)"
ORDERS_A_MINUTE_AT_LEAST = 60


@dataclass
class Outcome:
    """What became of one order, by the services' own accounts of it."""

    in_erp: int = 0
    invoiced: bool = False
    dispatched: bool = False
    invoice_known: bool = False
    dispatch_known: bool = False

    @property
    def whole(self) -> bool:
        facts = (self.invoiced, self.dispatched, self.invoice_known, self.dispatch_known)
        return self.in_erp == 1 and all(facts)


class Command(BaseCommand):
    help = "N orders through their whole life, with faults; exit 0 only if each arrived everywhere exactly once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--orders", type=int, default=300)
        parser.add_argument("--no-faults", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SIMULATORS:
            raise CommandError("The demo needs the simulators: set SIMULATORS=1.")
        call_command("migrate", verbosity=0)
        simulated = world.start(options={world.ERP: {"invoice_after": 1.0, "dispatch_after": 2.0}})
        try:
            placed = self._place(simulated, options["orders"])
            if not options["no_faults"]:
                _misbehave(simulated)
            started = time.monotonic()
            with workers():
                self._wait(simulated, placed, options["orders"])
            self._report(simulated, placed, time.monotonic() - started)
        finally:
            simulated.stop()

    def _place(self, simulated: world.World, orders: int) -> dict[str, list[str]]:
        seller = Seller.objects.create(name="Demonstração", slug=f"demo-{int(time.time())}")
        world.connect(simulated, seller, poll_seconds=2, calls_per_second=0, call_seconds=CALL_SECONDS)
        first = orders // 2
        shares = dict(zip(world.CHANNELS, (first, orders - first), strict=True))
        return {kind: simulated.simulator(kind).place(share, fulfilled=False) for kind, share in shares.items()}

    def _wait(self, simulated: world.World, placed: dict[str, list[str]], orders: int) -> None:
        started = time.monotonic()
        deadline = started + 60 + orders / ORDERS_A_MINUTE_AT_LEAST * 60
        while time.monotonic() < deadline:
            results = list(outcomes(simulated, placed).values())
            self._progress(results, time.monotonic() - started)
            if all(outcome.whole for outcome in results):
                break
            time.sleep(1)
        self.stdout.write("")

    def _progress(self, results: Sequence[Outcome], seconds: float) -> None:
        """One line that renews itself."""
        in_erp = sum(outcome.in_erp > 0 for outcome in results)
        left = sum(outcome.invoiced and outcome.dispatched for outcome in results)
        whole = sum(outcome.whole for outcome in results)
        said = f"{in_erp} in the ERP, {left} invoiced and dispatched, {whole} of {len(results)} all the way"
        self.stdout.write(f"\r{seconds:4.0f} s: {said}  ", ending="")
        self.stdout.flush()

    def _report(self, simulated: world.World, placed: dict[str, list[str]], seconds: float) -> None:
        results = outcomes(simulated, placed)
        self.stdout.write(f"\n{'channel':<16}{'orders':>8}{'in ERP':>8}{'twice':>7}{'invoiced':>10}{'sent back':>11}")
        for kind, ids in placed.items():
            mine = [results[kind, one] for one in ids]
            self.stdout.write(
                f"{kind:<16}{len(mine):>8}{sum(o.in_erp > 0 for o in mine):>8}{sum(o.in_erp > 1 for o in mine):>7}"
                f"{sum(o.invoiced and o.dispatched for o in mine):>10}"
                f"{sum(o.invoice_known and o.dispatch_known for o in mine):>11}"
            )
        faults = _hits(simulated)
        said = ", ".join(f"{kind} {times}" for kind, times in sorted(faults.items()))
        self.stdout.write(f"\n{seconds:.0f} s; faults: {sum(faults.values())} ({said})")
        unfinished = {key: one for key, one in results.items() if not one.whole}
        if unfinished:
            self._explain(unfinished)
            raise SystemExit(1)
        self.stdout.write("Every order is in the ERP exactly once, invoiced, dispatched, and its channel knows both.")

    def _explain(self, unfinished: dict[tuple[str, str], Outcome]) -> None:
        for (kind, external_id), outcome in list(unfinished.items())[:10]:
            self.stderr.write(f"not whole: {kind} {external_id} {outcome}")
        stuck = Job.objects.exclude(state=Job.State.DONE).order_by("state")[:10]
        for job in stuck:
            self.stderr.write(f"job {job} {job.state} tries={job.attempts} {job.error[:200]}")
        for connection in Connection.objects.exclude(last_error=""):
            self.stderr.write(f"{connection}: {connection.state} {connection.last_error[:200]}")


def outcomes(simulated: world.World, placed: dict[str, list[str]]) -> dict[tuple[str, str], Outcome]:
    """(kind, external id) -> what the ERP and the channel themselves say."""
    erp = simulated.simulator(world.ERP).snapshot().values()
    by_reference: dict[str, list[dict[str, Any]]] = {}
    for row in erp:
        if not row["cancelled"]:
            by_reference.setdefault(row["reference"], []).append(row)
    found = {}
    for kind, ids in placed.items():
        channel = simulated.simulator(kind).snapshot()
        for one in ids:
            found[kind, one] = _outcome(by_reference.get(one, []), channel[one])
    return found


def _outcome(in_erp: list[dict[str, Any]], at_channel: dict[str, Any]) -> Outcome:
    keys = {row["invoice_key"] for row in in_erp if row["invoice_key"]}
    return Outcome(
        in_erp=len(in_erp),
        invoiced=bool(keys),
        dispatched=any(row["dispatched"] for row in in_erp),
        invoice_known=at_channel["invoice_key"] in keys,
        dispatch_known=bool(at_channel["dispatched"]),
    )


def _misbehave(simulated: world.World) -> None:
    """Every kind of fault on every service, none of them on the control interface."""
    share = FAULT_SHARE / len(FAULTS)
    for server in simulated.servers.values():
        server.simulator.faults = [_fault(kind, share) for kind in FAULTS]


def _fault(kind: str, share: float) -> Fault:
    match = BUT_TOKENS if kind in NEEDS_A_PERSON else ""
    return Fault(kind, match, share, COSTLY.get(kind), seconds=0.5)


def _hits(simulated: world.World) -> Counter[str]:
    hits: Counter[str] = Counter()
    for server in simulated.servers.values():
        for fault in server.simulator.faults:
            hits[fault.kind] += fault.hits
    return hits
