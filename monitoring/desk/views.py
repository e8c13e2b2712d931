"""Lists of orders under a name: those everybody has, one's own, and those that one's colleagues share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from hub.models import Seller
from monitoring.desk import filters
from monitoring.models import SavedView

# Of one person: a row of names, not a second list to search through.
MOST = 30
EVERYBODYS: Sequence[tuple[Any, Mapping[str, str]]] = (
    (_("All"), {}),
    (_("To dispatch"), {"status": filters.OPEN}),
    (_("Late"), {"due": "late"}),
    (_("At risk"), {"due": "risk"}),
    (_("Held"), {"held": "yes"}),
    (_("Not in the ERP yet"), {"erp": "no"}),
)


@dataclass(frozen=True)
class Tab:
    name: Any
    query: str
    current: bool
    # Empty: everybody's.
    view: SavedView | None = None


def seen_by(person: User, sellers: Sequence[int]) -> QuerySet[SavedView]:
    """One's own, and what is shared in one of these sellers."""
    own = Q(person=person, shared_with=None) | Q(shared_with__in=sellers)
    return SavedView.objects.filter(own).order_by("name", "pk")


def tabs(person: User, sellers: Sequence[int], chosen: Mapping[str, str]) -> list[Tab]:
    now = urlencode(filters.clean(chosen))
    fixed = [(name, urlencode(query), None) for name, query in EVERYBODYS]
    saved = [(view.name, view.query, view) for view in seen_by(person, sellers)]
    return [Tab(name, query, query == now, view) for name, query, view in (*fixed, *saved)]


def save(person: User, name: str, chosen: Mapping[str, str], shared_with: Seller | None) -> SavedView | None:
    """Under a name one has used before the view is replaced. None where there are too many."""
    query = urlencode(filters.clean(chosen))
    known = SavedView.objects.filter(person=person)
    if not known.filter(name=name).exists() and known.count() >= MOST:
        return None
    defaults = {"query": query[:1000], "shared_with": shared_with}
    return SavedView.objects.update_or_create(person=person, name=name, defaults=defaults)[0]
