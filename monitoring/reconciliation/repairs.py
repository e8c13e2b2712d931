"""What can be done about a difference, by a person or by itself; the doing is in `deeds`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors import hints, ledger
from connectors.failures import Failure, Refusal
from connectors.ledger import Step
from connectors.models import Job
from monitoring.models import Finding
from monitoring.reconciliation import deeds, facts, findings
from monitoring.reconciliation.deeds import Request
from monitoring.reconciliation.findings import Kind, State

# Of those that a seller allows, in one turn: each is a transaction, and a census has other days to compare.
AT_ONCE = 100
# An asked step is eighteen values of a statement, and SQLite takes 32,766.
READ_AT_ONCE = 1000


@dataclass(frozen=True)
class Repair:
    """`chooses`: needs one of the ERP's orders. `carry_out` gives the step whose end says whether it helped."""

    label: Promise
    hint: Promise
    kinds: frozenset[Kind]
    carry_out: Callable[[Request], Step]
    chooses: bool = False


def apply(row: Finding, code: str, actor: str = "", choice: str = "") -> None:
    """Raises `Refusal` where the facts do not allow it any more."""
    repair = REPAIRS.get(code)
    if repair is None or row.kind not in repair.kinds:
        raise Refusal(_("This cannot be done here."))
    with transaction.atomic():
        locked = (
            Finding.objects.select_for_update(of=("self",))
            .select_related("order__channel", "order__seller", "connection__seller", "connection__channel")
            .get(pk=row.pk)
        )
        if locked.state not in findings.SHOWN:
            raise Refusal(_("This has been settled meanwhile."))
        step = repair.carry_out(Request(locked, choice, actor))
        locked.state, locked.repair, locked.repaired_by, locked.reason = State.REPAIRING, code, actor, ""
        locked.save(update_fields=["state", "repair", "repaired_by", "reason"])
        findings.ask([(locked, step)])
    hints.give([step.connection_id])


def by_itself(rows: Sequence[Finding]) -> None:
    """What needs no person: reading a sale again that the hub lacks, and whatever the seller allows."""
    missing = [row for row in rows if row.kind == Kind.MISSING_IN_HUB]
    _read_all(missing)
    allowed = [row for row in rows if BY_ITSELF.get(Kind(row.kind)) in row.seller.auto_repairs]
    for row in [row for row in allowed if row not in missing][:AT_ONCE]:
        try:
            apply(row, BY_ITSELF[Kind(row.kind)])
        except Failure as failure:
            Finding.objects.filter(pk=row.pk).update(reason=str(failure)[:500])


def _read_all(rows: Sequence[Finding]) -> None:
    """After an outage there are thousands of them: a few statements for many."""
    fetch = Job.objects.filter(connection=OuterRef("connection"), operation="fetch", key=OuterRef("key"))
    for some in facts.chunks(rows, READ_AT_ONCE):
        ledger.ask([deeds.read_channel(Request(row)) for row in some])
        Finding.objects.filter(pk__in=[row.pk for row in some]).update(
            state=State.REPAIRING,
            repair="reread_channel",
            asked_at=timezone.now(),
            job=Subquery(fetch.values("pk")[:1]),
        )
    hints.give({row.connection_id for row in rows})


def dismiss(row: Finding, actor: str, reason: str) -> None:
    """Left as it is, until one of the sides says something else."""
    Finding.objects.filter(pk=row.pk, state__in=findings.SHOWN).update(
        state=State.DISMISSED, ended_at=timezone.now(), repaired_by=actor, reason=reason[:2000]
    )


# --- Which there are -----------------------------------------------------------------------------------------------

REPAIRS: Mapping[str, Repair] = {
    "reread_channel": Repair(
        gettext_lazy("Read it from the channel"),
        gettext_lazy("Asks the channel for this sale once more and takes what it says."),
        frozenset({Kind.MISSING_IN_HUB, Kind.STATUS_DIFFERS, Kind.TOTAL_DIFFERS}),
        deeds.read_channel,
    ),
    "reread_erp": Repair(
        gettext_lazy("Read it from the ERP"),
        gettext_lazy("Asks the ERP for its order once more and takes what it says."),
        frozenset({Kind.STATUS_DIFFERS, Kind.TOTAL_DIFFERS, Kind.LINK_LOST, Kind.MISSING_IN_ERP}),
        deeds.read_erp,
    ),
    "resend": Repair(
        gettext_lazy("Send it to the ERP again"),
        gettext_lazy("The ERP is searched for it first, twice: it is never written a second time."),
        frozenset({Kind.LINK_LOST, Kind.MISSING_IN_ERP}),
        deeds.resend,
    ),
    "relink": Repair(
        gettext_lazy("Tie it to another order"),
        gettext_lazy("The sale belongs to the ERP's order that you name."),
        frozenset({Kind.LINK_LOST, Kind.MISSING_IN_ERP}),
        deeds.relink,
        chooses=True,
    ),
    "adopt": Repair(
        gettext_lazy("Take this order for the sale"),
        gettext_lazy("The hub sends nothing more; invoice and dispatch are read from it."),
        frozenset({Kind.TYPED_BY_HAND}),
        deeds.adopt,
    ),
    "choose": Repair(
        gettext_lazy("This is the true one"),
        gettext_lazy("The sale is tied to it; the hub asks the ERP to cancel the other."),
        frozenset({Kind.DUPLICATED}),
        deeds.choose,
        chooses=True,
    ),
}
# What a seller may allow to happen without a person.
BY_ITSELF: Mapping[Kind, str] = {
    Kind.MISSING_IN_HUB: "reread_channel",
    Kind.STATUS_DIFFERS: "reread_channel",
    Kind.TOTAL_DIFFERS: "reread_channel",
    Kind.LINK_LOST: "resend",
    Kind.MISSING_IN_ERP: "resend",
    Kind.TYPED_BY_HAND: "adopt",
}


def of_kind(row: Finding) -> list[tuple[str, Repair]]:
    return [(code, repair) for code, repair in REPAIRS.items() if row.kind in repair.kinds]
