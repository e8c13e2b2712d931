"""The header of every page: the light and the bell, by themselves, too, so that an open page keeps them up to date."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy

from monitoring import figures
from monitoring.alerts import preferences
from monitoring.alerts.preferences import Bell
from monitoring.light import Light
from monitoring.pages.shell import page, person, seller_ids

# `refresh.js` asks with this header.
REFRESH = "X-Refresh"
SAID: dict[str, tuple[str, Any]] = {
    "green": ("check_circle", gettext_lazy("Nothing is open")),
    "amber": ("pending", gettext_lazy("Something is open")),
    "red": ("sync_problem", gettext_lazy("Something needs you")),
    "grey": ("circle", gettext_lazy("Nothing is connected")),
}


@dataclass(frozen=True)
class Header:
    light: Light
    bell: Bell

    @property
    def icon(self) -> str:
        return SAID[self.light.tone][0]

    @property
    def said(self) -> str:
        return str(SAID[self.light.tone][1])

    @property
    def link(self) -> str:
        return reverse("failures") if self.light.failed else reverse("admin:index")


def of(request: HttpRequest) -> Header | None:
    """None for whoever belongs to no seller."""
    sellers = seller_ids(request)
    return Header(figures.light(sellers), preferences.bell(person(request).pk, sellers)) if sellers else None


@page
def header(request: HttpRequest) -> HttpResponse:
    if REFRESH not in request.headers:
        return redirect("admin:index")
    return TemplateResponse(request, "monitoring/header_part.html", {"top": of(request)})
