from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("connectors.urls")),
    path("", include("monitoring.urls")),
    path("", admin.site.urls),
]
