"""Everything that happened to an order, in one list: what channel and ERP said, what the hub did, what people did.

Equal things collapse ("checked 96 times, no change"), so that what people wrote stays visible.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.models import Exchange, InboxEntry
from monitoring.pages import words
from orders import timeline
from orders.models import Order, OrderEvent
from orders.vocabulary import Source

# The newest; an order that was tried for days has thousands.
CALLS = 500
LEARNT_WITHIN = timedelta(seconds=10)
# What only looks: without news it is not worth a line each.
READS = frozenset({"fetch", "read_erp", "poll", "backfill", "census"})

KINDS = {
    "channel": gettext_lazy("Channel"),
    "erp": gettext_lazy("ERP"),
    "carrier": gettext_lazy("Carrier"),
    "hub": gettext_lazy("Hub"),
    "person": gettext_lazy("People"),
    "calls": gettext_lazy("Calls"),
}


@dataclass(frozen=True)
class Line:
    """`kind` is one of `KINDS`. `count` things from `at` to `last_at`; `calls` are their recorded exchanges."""

    at: datetime
    last_at: datetime
    kind: str
    text: str
    count: int = 1
    actor: str = ""
    failed: bool = False
    calls: Sequence[Exchange] = field(default=())


def history(order: Order, calls: Iterable[Exchange], documents: Iterable[InboxEntry]) -> list[Line]:
    """Oldest first. `order.events` may be prefetched; of the rest, the caller chooses how much it reads."""
    things: list[tuple[datetime, OrderEvent | Exchange | InboxEntry]] = [
        *((event.at, event) for event in order.events.all()),
        *((call.started_at, call) for call in calls),
        *((document.received_at, document) for document in documents if document.error),
    ]
    # A milestone tells of its own time, but was learnt when it was written: the list is in the order of learning.
    things.sort(key=lambda thing: thing[0])
    return list(_lines([thing for _at, thing in things]))


def _lines(things: Sequence[OrderEvent | Exchange | InboxEntry]) -> Iterator[Line]:
    runs = [list(group) for _type, group in groupby(things, type)]
    for run, following in zip(runs, [*runs[1:], []], strict=False):
        kind = type(run[0])
        if kind is Exchange:
            calls = [call for call in run if isinstance(call, Exchange)]
            yield from _of_calls(calls, news=_brought_news(calls[-1], following))
        elif kind is OrderEvent:
            yield from map(_of_event, timeline.collapsed(event for event in run if isinstance(event, OrderEvent)))
        else:
            yield from (_of_document(entry) for entry in run if isinstance(entry, InboxEntry))


def _brought_news(last: Exchange, following: Sequence[OrderEvent | Exchange | InboxEntry]) -> bool:
    """Whether what came next was learnt by this call."""
    event = following[0] if following else None
    learnt = isinstance(event, OrderEvent) and event.source in (Source.CHANNEL, Source.ERP)
    return isinstance(event, OrderEvent) and learnt and event.at - last.started_at < LEARNT_WITHIN


def _of_event(entry: timeline.Entry) -> Line:
    event = entry.event
    return Line(
        at=event.at,
        last_at=entry.last_at,
        kind=event.source if event.source in KINDS else Source.HUB.value,
        text=told(entry),
        count=entry.count,
        actor=event.actor,
        failed=event.code in ("job_failed", "invoice_refused", "refused_by_channel"),
    )


def told(entry: timeline.Entry) -> str:
    """The entry's sentence, with what connectors said and the names of steps in the reader's language, too."""
    data = dict(entry.event.data)
    for name, translate in (("message", words.stored), ("reason", words.stored), ("operation", words.operation)):
        if isinstance(data.get(name), str):
            data[name] = translate(data[name])
    return timeline.sentence(OrderEvent(code=entry.event.code, data=data))


def _of_document(entry: InboxEntry) -> Line:
    text = _("A document could not be read: %(reason)s") % {"reason": words.stored(entry.error)}
    return Line(entry.received_at, entry.received_at, Source.CHANNEL.value, text, failed=True)


def _of_calls(calls: Sequence[Exchange], *, news: bool) -> Iterator[Line]:
    """Calls between two events, by what they were for and how they ended: two kinds that alternate are two lines."""
    groups: dict[tuple[str, str], list[Exchange]] = {}
    for call in calls:
        groups.setdefault((_purpose(call), call.error), []).append(call)
    for (purpose, error), same in groups.items():
        yield Line(
            at=same[0].started_at,
            last_at=same[-1].started_at,
            kind="calls",
            text=_said(purpose, error, same, news=news and same[-1] is calls[-1]),
            count=len(same),
            failed=bool(error),
            calls=same,
        )


def _purpose(call: Exchange) -> str:
    return call.job.operation if call.job is not None else call.operation


def _said(purpose: str, error: str, calls: Sequence[Exchange], *, news: bool) -> str:
    name = words.operation(purpose)
    if error:
        return _("%(name)s: no success. %(reason)s") % {"name": name, "reason": words.stored(error)}
    if purpose in READS and news:
        return _("%(name)s: there was news.") % {"name": name}
    if purpose in READS:
        runs = len({call.started_at.replace(second=0, microsecond=0) for call in calls})
        text = ngettext(
            "%(name)s: checked %(count)s time, no change.", "%(name)s: checked %(count)s times, no change.", runs
        )
        return text % {"name": name, "count": runs}
    return _("%(name)s: answered in %(time)s ms.") % {"name": name, "time": max(call.duration_ms for call in calls)}
