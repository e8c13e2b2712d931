"""One file to print for many orders: the channel's own label where there is one, ours elsewhere, each once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from io import BytesIO
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy
from pypdf import PdfReader, PdfWriter

from connectors.models import Job
from monitoring.models import ChannelLabel
from monitoring.packing import fetching
from monitoring.packing.labels import own_labels, own_zpl
from orders import doors
from orders.models import Order, OrderEvent
from orders.vocabulary import Source

PRINTED, REPRINTED = "label_printed", "label_reprinted"
SENTENCES = {
    PRINTED: gettext_lazy("Label printed."),
    REPRINTED: gettext_lazy("Label printed again: make sure that only one of them travels."),
}


class State(StrEnum):
    OURS = "ours"
    READY = "ready"
    # Nobody has asked the channel for it yet.
    TO_ASK = "to_ask"
    ON_THE_WAY = "on_the_way"
    # The channel is not ready; asked again by itself.
    WAITS = "waits"
    # The channel said no, for good.
    REFUSED = "refused"
    # The call failed in a way that needs a person.
    FAILED = "failed"


@dataclass
class Line:
    """One order and where its label stands."""

    order: Order
    state: State
    labels: list[ChannelLabel] = field(default_factory=list)
    job: Job | None = None
    problem: str = ""
    printed_at: datetime | None = None

    @property
    def kinds(self) -> set[str]:
        return {label.content_type for label in self.labels}

    @property
    def printable(self) -> bool:
        return self.state in (State.OURS, State.READY)


def lines(orders: Sequence[Order]) -> list[Line]:
    """One for each order, in this order; a fixed number of statements. `orders` come from `picking.with_parts`."""
    wanted = {order.pk: fetching.wanted(order) for order in orders}
    found_labels = fetching.labels_of(one for some in wanted.values() for one in some)
    labels = {fetching.label_key(label): label for label in found_labels}
    asked = Job.objects.filter(operation=fetching.OPERATION, order__in=[pk for pk in wanted if wanted[pk]])
    jobs = {job.key: job for job in asked.select_related("connection")}
    printed = dict(
        OrderEvent.objects.filter(order__in=wanted, code__in=(PRINTED, REPRINTED))
        .values_list("order")
        .annotate(Max("at"))
    )
    found = [_line(order, wanted[order.pk], labels, jobs) for order in orders]
    for line in found:
        line.printed_at = printed.get(line.order.pk)
    return found


def _line(
    order: Order, wanted: Sequence[fetching.Labelled], labels: dict[str, ChannelLabel], jobs: dict[str, Job]
) -> Line:
    if not wanted:
        return Line(order, State.OURS)
    keys = [fetching.key_of(one) for one in wanted]
    mine = [labels[key] for key in keys if key in labels]
    if problem := next((label.problem for label in mine if label.problem), ""):
        return Line(order, State.REFUSED, problem=problem)
    if len(mine) == len(keys):
        return Line(order, State.READY, mine)
    job = next((jobs[key] for key in keys if key not in labels and key in jobs), None)
    state = _of_job(job)
    return Line(order, state, job=job, problem=job.error if job and state is not State.TO_ASK else "")


def _of_job(job: Job | None) -> State:
    if job is None or job.state in (Job.State.DONE, Job.State.CLOSED):
        return State.TO_ASK
    if job.state == Job.State.REFUSED:
        return State.FAILED
    return State.WAITS if job.error and job.state == Job.State.READY else State.ON_THE_WAY


def chosen(found: Iterable[Line], kind: str, ours: Collection[int]) -> list[Line]:
    """Those that go into a file of this kind. `ours`: orders that get our label instead of the channel's."""
    replaced = [
        Line(line.order, State.OURS, printed_at=line.printed_at) if line.order.pk in ours else line for line in found
    ]
    ours_too = kind in _kinds_of_ours(replaced)
    return [
        line
        for line in replaced
        if (ours_too if line.state is State.OURS else line.state is State.READY and line.kinds == {kind})
    ]


def _kinds_of_ours(found: Iterable[Line]) -> set[str]:
    """What the channels' labels beside them are, so that ours are in one file only; either where they are alone."""
    channels = {kind for line in found if line.state is State.READY for kind in line.kinds}
    return {fetching.PDF} if fetching.PDF in channels else channels or {fetching.PDF, fetching.ZPL}


def as_pdf(printed: Sequence[Line]) -> bytes:
    """All labels in this order. Raises `hub.vault.VaultLocked`."""
    own = [line.order for line in printed if line.state is State.OURS]
    drawn = iter(PdfReader(BytesIO(own_labels(own))).pages if own else ())
    writer = PdfWriter()
    for line in printed:
        if line.state is State.OURS:
            writer.add_page(next(drawn))
        for label in line.labels:
            for body in fetching.content(label):
                writer.append(BytesIO(body), import_outline=False)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def as_zpl(printed: Sequence[Line]) -> bytes:
    """All labels in this order. Raises `hub.vault.VaultLocked`."""
    return b"\n".join(body for line in printed for body in _zpl_of(line)) + b"\n"


def _zpl_of(line: Line) -> Iterator[bytes]:
    if line.state is State.OURS:
        yield own_zpl(line.order)
    for label in line.labels:
        yield from fetching.content(label)


@transaction.atomic
def mark(printed: Sequence[Line], actor: str) -> None:
    """On each order's timeline; that it was printed before is said, since two equal labels may travel."""
    ids = [line.order.pk for line in printed]
    orders = list(Order.objects.filter(pk__in=ids).order_by("pk").select_for_update(of=("self",)))
    known = OrderEvent.objects.filter(order__in=ids, code__in=(PRINTED, REPRINTED))
    before = set(known.values_list("order_id", flat=True))
    first: list[tuple[Order, dict[str, Any]]] = [(order, {}) for order in orders if order.pk not in before]
    again: list[tuple[Order, dict[str, Any]]] = [(order, {}) for order in orders if order.pk in before]
    doors.append_all(first, PRINTED, Source.PERSON, actor)
    doors.append_all(again, REPRINTED, Source.PERSON, actor)
