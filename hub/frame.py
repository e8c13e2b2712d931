"""The frame around all pages, which is that of Django's admin."""

from typing import Any

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.http import HttpRequest
from unfold.sites import UnfoldAdminSite


class AdminConfig(DjangoAdminConfig):
    default_site = "hub.frame.Site"


class Site(UnfoldAdminSite):
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Each page asks for it, and only whoever runs the installation has any: nobody else's rights are read."""
        return super().get_app_list(request, app_label) if request.user.is_superuser else []
