"""Real processes, real faults, nobody pressing anything: every order in the ERP exactly once."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from connectors.simulation import world
from connectors.simulation.server import Fault
from monitoring.bench.servers import children, wait_until
from monitoring.management.commands.demo import outcomes
from tests.real.hub import Hub, running

pytestmark = pytest.mark.real

ORDERS = 500
CREATE = "POST /Api/v3/pedidos/vendas$"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all faults: whatever one of them leaves behind would show in the next."""
    with running(tmp_path_factory.mktemp("hub"), call_seconds=1.5) as hub:
        yield hub


@pytest.fixture
def hub(started: Hub) -> Iterator[Hub]:
    yield started
    for server in started.world.servers.values():
        server.simulator.faults = []


def place(hub: Hub, orders: int) -> set[str]:
    """Half on each channel."""
    first = orders // 2
    return {
        *hub.world.simulator("mercado_livre").place(first, fulfilled=False),
        *hub.world.simulator("amazon").place(orders - first, fulfilled=False),
    }


def under_way(hub: Hub, placed: set[str]) -> None:
    wait_until(lambda: len(placed & set(hub.erp_references())) > len(placed) // 10, 60, "orders flowing", every=0.1)


def assert_each_once(hub: Hub, placed: set[str]) -> None:
    references = Counter(hub.erp_references())
    assert {one: references[one] for one in placed if references[one] != 1} == {}
    assert hub.unfinished() == []


def test_a_worker_killed_in_mid_push_costs_nothing(hub: Hub) -> None:
    placed = place(hub, ORDERS)
    under_way(hub, placed)
    victim = hub.workers[0]
    running_before = "SELECT id, lease FROM connectors_job WHERE state = 'running'"
    for pid in [*children(victim.pid), victim.pid]:
        os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    held = dict(hub.query(running_before))
    victim.restart()

    def taken_up() -> bool:
        now = dict(hub.query(running_before))
        return all(now.get(job) != lease for job, lease in held.items())

    wait_until(taken_up, 30, "the dead worker's jobs taken up again", every=0.2)
    assert time.monotonic() - killed_at < 30
    hub.wait_for(placed, 120)
    assert_each_once(hub, placed)


def test_a_flushed_broker_costs_nothing(hub: Hub) -> None:
    placed = place(hub, ORDERS)
    under_way(hub, placed)
    for _ in range(3):
        hub.redis.flush()
        time.sleep(1)
    hub.wait_for(placed, 120)
    assert_each_once(hub, placed)


def test_a_database_that_is_away_for_ten_seconds_costs_nothing(hub: Hub) -> None:
    placed = place(hub, ORDERS)
    under_way(hub, placed)
    hub.postgres.stop()
    time.sleep(10)
    hub.postgres.start()
    hub.wait_for(placed, 150)
    assert_each_once(hub, placed)


# Of a commit that need not wait for the disk: usually it does for a fifth of a second at most.
LAZY_DISK = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}


def test_a_database_that_crashes_takes_back_no_write_to_the_outside(hub: Hub) -> None:
    """Killed, it loses the last commits that did not wait for the disk: what was read is read again, what was written
    into the ERP is looked up there."""
    hub.set_in_database(LAZY_DISK)
    placed = place(hub, 300)
    under_way(hub, placed)
    for _ in range(5):
        known = len(hub.erp_references())
        wait_until(lambda: len(hub.erp_references()) > known, 60, "one more order in the ERP", every=0.005)  # noqa: B023
        hub.postgres.kill()
        hub.postgres.start()
    hub.set_in_database(dict.fromkeys(LAZY_DISK, "DEFAULT"))
    hub.wait_for(placed, 150)
    assert_each_once(hub, placed)


def test_an_erp_that_commits_and_does_not_say_so(hub: Hub) -> None:
    """The first try of each of 300 orders: 100 cut off, 100 answered by a gateway, 100 never answered."""
    hub.erp.faults = [Fault(kind, match=CREATE, times=100) for kind in ("cut_after", "502_after", "hang_after")]
    placed = place(hub, 300)
    hub.wait_for(placed, 180)
    assert [fault.hits for fault in hub.erp.faults] == [100, 100, 100]
    assert_each_once(hub, placed)


def test_an_erp_that_is_away_for_forty_seconds(hub: Hub) -> None:
    hub.erp.faults = [Fault("500", match=".")]
    placed = place(hub, 60)
    time.sleep(40)
    hub.erp.faults = []
    hub.wait_for(placed, 90)
    assert_each_once(hub, placed)


def test_forty_new_orders_a_second_are_all_seen(hub: Hub) -> None:
    placed: set[str] = set()
    shop = hub.world.simulator("mercado_livre")
    for _ in range(50):
        started = time.monotonic()
        placed.update(shop.place(10))
        time.sleep(max(0.0, 0.25 - (time.monotonic() - started)))
    hub.wait_for(placed, 150)
    assert len(placed) == ORDERS
    assert_each_once(hub, placed)


def test_killed_again_and_again_at_random(hub: Hub) -> None:
    placed = place(hub, 200)
    stopped = threading.Event()

    def kill_now_and_then() -> None:
        for number in range(6):
            if stopped.wait(1.7):
                return
            victim = hub.workers[number % 2]
            for pid in [*children(victim.pid), victim.pid]:
                os.kill(pid, signal.SIGKILL)
            victim.restart()

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    killer.join()
    hub.wait_for(placed, 150)
    assert_each_once(hub, placed)


def test_invoice_and_dispatch_come_home(hub: Hub) -> None:
    """The whole life of 60 orders, as the channels themselves tell it."""
    hub.back_office_works()
    placed = {kind: hub.world.simulator(kind).place(30, fulfilled=False) for kind in world.CHANNELS}
    wait_until(lambda: all(one.whole for one in outcomes(hub.world, placed).values()), 90, "60 whole orders", 0.5)
