"""A channel's calendar: when whoever ships its orders works, and by when an order has to leave."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.models import Connection
from monitoring.pages.connections import writable
from monitoring.pages.shell import form_page, log, show
from monitoring.pages.words import STATES
from orders import calendar
from orders.calendar import BadCalendar, Calendar
from orders.doors import reckon_deadlines

CAPITAL = "São Paulo Capital"


class CalendarForm(forms.Form):
    """The keys of `orders.calendar`, as a person fills them in."""

    days = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Working days"), choices=list(WEEKDAYS.items()), coerce=int,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    opens = forms.TimeField(label=gettext_lazy("Work begins"), widget=forms.TimeInput({"type": "time"}, "%H:%M"))
    closes = forms.TimeField(label=gettext_lazy("Work ends"), widget=forms.TimeInput({"type": "time"}, "%H:%M"))
    cut_off = forms.TimeField(
        label=gettext_lazy("Cut-off"), widget=forms.TimeInput({"type": "time"}, "%H:%M"),
        help_text=gettext_lazy("What is approved later counts as of the next working day."),
    )  # fmt: skip
    handling_days = forms.IntegerField(
        label=gettext_lazy("Working days to handle an order"), min_value=0, max_value=calendar.MOST_HANDLING_DAYS
    )
    risk_hours = forms.IntegerField(
        label=gettext_lazy("At risk, working hours before"), min_value=0, max_value=calendar.MOST_RISK_HOURS,
        required=False, help_text=gettext_lazy("Empty: as for all channels."),
    )  # fmt: skip
    state = forms.ChoiceField(
        label=gettext_lazy("State, for its holidays"), required=False,
        choices=[("", gettext_lazy("only national holidays")), *((one, one) for one in (*STATES, CAPITAL))],
    )  # fmt: skip
    zone = forms.CharField(label=gettext_lazy("Time zone"), max_length=60)
    closed = forms.CharField(
        label=gettext_lazy("Further days without work"), required=False, widget=forms.Textarea({"rows": 2}),
        help_text=gettext_lazy("Dates as 2026-12-24, one after the other."),
    )  # fmt: skip

    def chosen(self) -> dict[str, Any]:
        """As it is kept on the channel."""
        filled = dict(self.cleaned_data)
        for name in ("opens", "closes", "cut_off"):
            filled[name] = f"{filled[name]:%H:%M}"
        filled["closed"] = filled["closed"].replace(",", " ").split()
        return {name: value for name, value in filled.items() if value not in (None, "", [])}

    def clean(self) -> None:
        if self.errors:
            return
        try:
            Calendar.of(self.chosen())
        except BadCalendar as error:
            self.add_error(error.key, str(error))


def _filled(known: Calendar) -> dict[str, Any]:
    return {
        "days": sorted(known.days),
        "opens": known.opens,
        "closes": known.closes,
        "cut_off": known.cut_off,
        "handling_days": known.handling_days,
        "risk_hours": known.risk_hours,
        "state": known.state,
        "zone": known.zone.key,
        "closed": " ".join(day.isoformat() for day in sorted(known.closed)),
    }


@form_page
def change(request: HttpRequest, pk: int) -> HttpResponse:
    connection: Connection = writable(request, pk)
    channel = connection.channel
    if channel is None:
        raise Http404
    form = CalendarForm(request.POST or None, initial=_filled(calendar.of_channel(channel.calendar)))
    if request.method == "POST" and form.is_valid():
        before, channel.calendar = channel.calendar, form.chosen()
        channel.save(update_fields=["calendar"])
        reckon_deadlines(channel)
        log(request, "calendar_changed", connection.seller, connection.name, before, channel.calendar)
        messages.success(request, _("The calendar is kept. Deadlines that it gave were reckoned anew."))
        return HttpResponseRedirect(reverse("connection", args=[pk]))
    example = calendar.of_channel(channel.calendar).ship_by(timezone.now())
    return show(
        request, "calendar.html", _("Calendar of %(name)s") % {"name": connection.name},
        form=form, connection=connection, example=example, seller=connection.seller,
    )  # fmt: skip
