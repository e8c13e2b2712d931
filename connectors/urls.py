from django.urls import path

from connectors.push import receive

urlpatterns = [path("push/<slug:kind>/<str:key>/", receive, name="push")]
