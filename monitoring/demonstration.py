"""A shop to try the hub with: simulated marketplaces and a simulated ERP that run inside the embedded hub.

Only the process of `manage.py run` has one (`here`): simulators live in memory, and their orders come by threads.
"""

import threading
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from connectors.failures import Refusal
from connectors.models import Budget, Connection
from connectors.simulation import memory, world
from hub.models import Membership, Seller
from orders.models import Order, SalesChannel

SLUG = "loja-exemplo"
# A shop that is pleasant to watch: a new order on each channel every few seconds.
SECONDS_BETWEEN_ORDERS = 8.0
FIRST_ORDERS = 12
BACK_OFFICE = {"invoice_after": 4.0, "dispatch_after": 10.0}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def seller() -> Seller | None:
    return Seller.objects.filter(slug=SLUG).first()


class Demonstration:
    """`address`: the hub's own, which simulators push to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._world: world.World | None = None
        self._stopped = threading.Event()
        self._shop: threading.Thread | None = None
        self._folder = Path(settings.HOME) / "simulators"
        # Two people may press at once.
        self._turn = threading.Lock()

    @property
    def running(self) -> bool:
        return self._world is not None

    def start(self, owner: User | None = None) -> None:
        """Simulators, the seller and its connections; orders begin to come. Once it runs this changes nothing."""
        with self._turn:
            if self._world is not None:
                return
            shown, _new = Seller.objects.get_or_create(slug=SLUG, defaults={"name": "Loja Exemplo"})
            if owner is not None:
                Membership.objects.get_or_create(user=owner, seller=shown, defaults={"role": Membership.Role.OWNER})
            self._world = world.start(options={world.ERP: BACK_OFFICE})
            known = [memory.load(one.simulator, self._file(kind)) for kind, one in self._world.servers.items()]
            if Connection.objects.filter(seller=shown).exists():
                world.reconnect(self._world, shown, pushes_to=self.address)
            else:
                world.connect(self._world, shown, pushes_to=self.address, poll_seconds=10, calls_per_second=0)
            self._stopped.clear()
            self._shop = threading.Thread(target=self._sell, args=(self._world, not any(known)), daemon=True)
            self._shop.start()

    def stop(self) -> None:
        """What the simulators know is kept for the next start."""
        with self._turn:
            if self._world is None:
                return
            self._stopped.set()
            if self._shop is not None:
                self._shop.join(timeout=5)
            for kind, server in self._world.servers.items():
                memory.save(server.simulator, self._file(kind))
            self._world.stop()
            self._world = None

    def remove(self) -> None:
        """Stops it and deletes all it left behind. Refused where the seller has a connection to a real service."""
        shown = seller()
        if shown is not None and not _simulated_only(shown):
            raise Refusal(_("Its seller has a connection to a real service, so nothing of it is deleted."))
        self.stop()
        for kind in (*world.CHANNELS, world.ERP):
            self._file(kind).unlink(missing_ok=True)
        if shown is not None:
            _wipe(shown)

    def _file(self, kind: str) -> Path:
        return self._folder / f"{kind}.state"

    def _sell(self, simulated: world.World, fresh: bool) -> None:
        for kind in world.CHANNELS if fresh else ():
            simulated.simulator(kind).place(FIRST_ORDERS)
        while not self._stopped.wait(SECONDS_BETWEEN_ORDERS):
            for kind in world.CHANNELS:
                simulated.simulator(kind).place(1)


# The one of this process; None where no simulators may run.
here: Demonstration | None = None


def _simulated_only(shown: Seller) -> bool:
    """Every address its connections call is this machine's."""
    for hosts in Connection.objects.filter(seller=shown).values_list("settings__hosts", flat=True):
        if not hosts or any(urlsplit(url).hostname not in LOOPBACK for url in hosts.values()):
            return False
    return True


@transaction.atomic
def _wipe(shown: Seller) -> None:
    """The seller with all its rows; whoever had no other place gets an empty one to begin with in earnest."""
    owners = User.objects.filter(memberships__seller=shown)
    homeless = [user for user in owners if not user.memberships.exclude(seller=shown).exists()]
    connections = Connection.objects.filter(seller=shown)
    budgets = [Q(key__startswith=f"{kind}:{pk}:") for pk, kind in connections.values_list("pk", "kind")]
    for mine in budgets:
        Budget.objects.filter(mine).delete()
    connections.delete()
    Order.objects.filter(seller=shown).delete()
    SalesChannel.objects.filter(seller=shown).delete()
    shown.delete()
    if homeless:
        own, _new = Seller.objects.get_or_create(slug="minha-loja", defaults={"name": "Minha loja"})
        Membership.objects.bulk_create(
            Membership(user=user, seller=own, role=Membership.Role.OWNER) for user in homeless
        )
