"""What the comparison of channel, hub and ERP has found: twice in the ERP, and out of step."""

from collections.abc import Callable, Sequence

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.models import Finding
from monitoring.reconciliation import findings, repairs, words
from monitoring.reconciliation.findings import Kind
from monitoring.reports.base import Action, Row, Scope, register
from monitoring.reports.cases import Case, CaseReport


def _found(kinds: Sequence[Kind]) -> Callable[[Scope], QuerySet[Finding]]:
    def select(scope: Scope) -> QuerySet[Finding]:
        rows = Finding.objects.filter(seller__in=scope.sellers, kind__in=kinds, state__in=findings.SHOWN)
        if scope.channel is not None:
            rows = rows.filter(Q(order__channel=scope.channel) | Q(connection__channel=scope.channel))
        return rows.select_related("order__channel", "connection__channel").order_by("found_at", "pk")

    return select


def _rows(scope: Scope, case: str, found: Sequence[Finding]) -> list[Row]:
    return [_row(case, one) for one in found]


def _row(case: str, found: Finding) -> Row:
    order = found.order
    channel = order.channel if order is not None else found.connection.channel
    return Row(
        key=f"finding:{found.pk}",
        case=case,
        seller_id=found.seller_id,
        channel=channel.name if channel is not None else found.connection.name,
        number=words.number(found),
        since=found.found_at,
        cause=words.cause(found),
        order_id=found.order_id,
        value=order.total if order is not None else None,
        currency=order.currency if order is not None else "BRL",
        actions=tuple(_actions(found)),
    )


def _actions(found: Finding) -> list[Action]:
    """The repairs that need no choice; the page of comparisons has the others, with the sides next to each other."""
    page = Action(_("See all sides"), f"{reverse('comparison')}?kind={found.kind}#findings", opens=True)
    if found.state != findings.State.OPEN:
        return [page]
    url = reverse("finding_repair", args=[found.pk])
    deeds = [Action(one.label, url, fields={"repair": code}) for code, one in repairs.of_kind(found) if not one.chooses]
    leave = Action(
        _("Leave it as it is…"),
        reverse("finding_dismiss", args=[found.pk]),
        asks="reason",
        question=_("Why is it right like this?"),
    )
    return [*deeds, page, leave]


def _case(kind: Kind) -> Case[Finding]:
    return Case(kind.value, words.TITLES[kind], _found([kind]), _rows, since="found_at")


register(
    CaseReport(
        "duplicated",
        gettext_lazy("Twice in the ERP"),
        gettext_lazy("Sales for which the ERP has more than one live order, with the status of each."),
        (_case(Kind.DUPLICATED),),
    )
)
register(
    CaseReport(
        "desynchronised",
        gettext_lazy("Out of step"),
        gettext_lazy(
            "Sales of which channel, hub and ERP do not say the same: changed directly in one of them, or lost."
        ),
        tuple(
            _case(kind)
            for kind in (
                Kind.LINK_LOST,
                Kind.MISSING_IN_ERP,
                Kind.MISSING_IN_HUB,
                Kind.STATUS_DIFFERS,
                Kind.TOTAL_DIFFERS,
                Kind.TYPED_BY_HAND,
            )
        ),
    )
)
