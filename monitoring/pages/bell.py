"""What the bell leads to: the alerts of this person, with what mends each."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.models import Membership
from monitoring.alerts import preferences, wording
from monitoring.models import Alert
from monitoring.pages.shell import action, page, person, seller_ids, show

SHOWN = 50
OVER_SHOWN = 20


@page
def alerts_mine(request: HttpRequest) -> HttpResponse:
    """The newest first; what is over comes after what is open."""
    rows = preferences.shown_to(_places(request)).select_related("rule", "seller").order_by("-pk")
    still_open = rows.exclude(state=Alert.State.MENDED)[:SHOWN]
    over = rows.filter(state=Alert.State.MENDED).order_by("-opened_at")[:OVER_SHOWN]
    return show(
        request,
        "alerts_mine.html",
        _("For you"),
        open=[_said(alert) for alert in still_open],
        over=[_said(alert) for alert in over],
        several=len(seller_ids(request)) > 1,
    )


def _said(alert: Alert) -> tuple[Alert, str]:
    return alert, wording.sentence(alert.code, alert.data, alert.mended_at or timezone.now())


@action
def seen(request: HttpRequest) -> HttpResponse:
    """The bell is pressed: what it counted is seen."""
    newest = request.POST.get("newest", "")
    if newest.isdecimal() and len(newest) < 19:
        preferences.see(_places(request), int(newest))
    return redirect("alerts_mine")


def _places(request: HttpRequest) -> list[Membership]:
    """Their own alone: whoever runs the installation sees all sellers, but is not told of all."""
    places = Membership.objects.filter(user=person(request), seller_id__in=seller_ids(request))
    return list(places.select_related("alert_preference"))
