"""How each person wants to be told: by e-mail at once, in the dashboard, in the daily summary, or not at all.

Whoever has not chosen is told as their role has it: owners by the destination of the owners, as the rules say; others
in the dashboard. Whoever has chosen has a destination of their own, so that their messages go the way of all others.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet
from django.utils.translation import get_language

from hub import vault
from hub.models import Membership, Seller
from hub.people import sight
from hub.tenancy import name_of
from monitoring.models import Alert, AlertPreference, AlertRule, Destination

Kind = AlertRule.Kind
Way = AlertPreference.Way
Ways = Mapping[str, str]
SHOWN = (Way.EMAIL, Way.PAGE)
# The bell counts no further.
MOST = 99


def usual(role: str, kind: str) -> Way:
    """What nobody has chosen."""
    if role == Membership.Role.OWNER:
        return Way.EMAIL
    return Way.NOTHING if kind == Kind.DIGEST else Way.PAGE


def ways_of(place: Membership) -> dict[str, str]:
    """Kind of rule -> way, of each kind there is."""
    preference = getattr(place, "alert_preference", None)
    return whole(place.role, preference.ways if preference else {})


def told_now(place: Membership) -> dict[str, str]:
    """As they are told at the moment: for owners who have not chosen the rules decide."""
    ways, preference = ways_of(place), getattr(place, "alert_preference", None)
    if place.role != Membership.Role.OWNER or (preference and preference.ways):
        return ways
    rules = list(AlertRule.objects.filter(seller=place.seller_id, active=True).prefetch_related("destinations"))
    if not rules:
        return ways
    by_mail = {rule.kind for rule in rules if any(one.active and one.is_of_owners for one in rule.destinations.all())}
    return {kind: way if kind in by_mail else usual("", kind) for kind, way in ways.items()}


def whole(role: str, chosen: Ways | None) -> dict[str, str]:
    return {kind: (chosen or {}).get(kind) or usual(role, kind) for kind in Kind.values}


@transaction.atomic
def choose(place: Membership, ways: Ways) -> Destination:
    """From now on this person is told so; e-mail comes in the language they use at the moment."""
    AlertPreference.objects.update_or_create(place=place, defaults={"ways": dict(ways)})
    known = {"name": name_of(place.user)[:80], "language": get_language()}
    new = {"seller": place.seller, "kind": Destination.Kind.EMAIL, "sealed": vault.seal({"to": ""})}
    made, _new = Destination.objects.update_or_create(place=place, defaults=known, create_defaults={**known, **new})
    return made


# --- By e-mail -------------------------------------------------------------------------------------------------------


def personal(seller: Seller) -> list[Destination]:
    """The own destinations of those who have chosen."""
    places = Destination.objects.filter(seller=seller, place__isnull=False)
    return list(places.select_related("place__user", "place__alert_preference").order_by("pk"))


def mailed(own: Iterable[Destination], kind: str) -> list[Destination]:
    """Those of them who are mailed what rules of this kind call for."""
    return [one for one in own if one.place and ways_of(one.place)[kind] == Way.EMAIL]


def escalated(to: Iterable[Destination], own: Iterable[Destination], kind: str) -> list[Destination]:
    """Where the owners are called, those who have chosen for themselves are, too."""
    if not any(one.is_of_owners for one in to):
        return list(to)
    return [*to, *(one for one in mailed(own, kind) if one.place and one.place.role == Membership.Role.OWNER)]


def as_its_reader(destination: Destination) -> AbstractContextManager[None]:
    """A message to one person says no more than the pages say to them."""
    return sight.through_eyes_of(destination.place) if destination.place else nullcontext()


# --- In the dashboard ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bell:
    """So many alerts that a person has not seen, and the newest of them."""

    count: int = 0
    newest: int = 0

    @property
    def text(self) -> str:
        return f"{MOST}+" if self.count > MOST else str(self.count)


def bell(user_id: int, sellers: Iterable[int]) -> Bell:
    """One statement, over the open alerts alone."""
    place = "seller__memberships"
    seen = f"{place}__alert_preference__seen"
    unseen = _called_for().exclude(state=Alert.State.MENDED).filter(
        Q(**{seen: None}) | Q(pk__gt=F(seen)), seller_id__in=list(sellers), **{f"{place}__user_id": user_id}
    )  # fmt: skip
    rows = unseen.values_list("rule__kind", f"{place}__role", f"{place}__alert_preference__ways")
    found = [
        (count, newest)
        for kind, role, ways, count, newest in rows.annotate(count=Count("pk"), newest=Max("pk")).order_by()
        if whole(role, ways)[kind] in SHOWN
    ]
    return Bell(sum(count for count, _newest in found), max((newest for _count, newest in found), default=0))


def shown_to(places: Iterable[Membership]) -> QuerySet[Alert]:
    """What these places' person wants to see in the dashboard."""
    wanted = Q(pk__in=[])
    for place in places:
        kinds = [kind for kind, way in ways_of(place).items() if way in SHOWN]
        wanted |= Q(seller_id=place.seller_id, rule__kind__in=kinds)
    return _called_for().filter(wanted)


def _called_for() -> QuerySet[Alert]:
    """Without those that a person knew of anyway, so that nobody was called."""
    return Alert.objects.exclude(told_as="", held=False)


def see(places: Iterable[Membership], up_to: int) -> None:
    """All that there was when the bell was drawn is seen."""
    known = {place.seller_id: place for place in places}
    alerts = Alert.objects.filter(seller_id__in=known, pk__lte=up_to).exclude(state=Alert.State.MENDED)
    for seller_id, newest in alerts.order_by().values_list("seller_id").annotate(newest=Max("pk")):
        place = known[seller_id]
        preference = getattr(place, "alert_preference", None)
        if preference is None or preference.seen < newest:
            AlertPreference.objects.update_or_create(place=place, defaults={"seen": newest})
