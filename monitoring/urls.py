from django.urls import include, path

from monitoring import api, views
from monitoring.pages import connect, connections, export, failures, one_order, orders

urlpatterns = [
    path("health/live", views.live, name="live"),
    path("health/ready", views.ready, name="ready"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/orders/", api.OrderList.as_view(), name="api_orders"),
    path("api/orders/<int:pk>/", api.OneOrder.as_view(), name="api_order"),
    path("orders/", orders.orders, name="orders"),
    path("orders/export/", export.export, name="orders_export"),
    path("orders/<int:pk>/", one_order.order, name="order"),
    path("orders/<int:pk>/hold/", one_order.hold, name="order_hold"),
    path("orders/<int:pk>/release/", one_order.release, name="order_release"),
    path("orders/<int:pk>/note/", one_order.note, name="order_note"),
    path("failures/", failures.failures, name="failures"),
    path("failures/retry/", failures.retry_selected, name="retry_selected"),
    path("failures/jobs/<int:pk>/retry/", failures.retry, name="job_retry"),
    path("failures/jobs/<int:pk>/close/", failures.close, name="job_close"),
    path("failures/documents/<int:pk>/", failures.entry, name="entry"),
    path("failures/documents/<int:pk>/replay/", failures.replay, name="entry_replay"),
    path("failures/documents/<int:pk>/close/", failures.close_entry, name="entry_close"),
    path("connections/", connections.connections, name="connections"),
    path("connections/<int:pk>/", connections.connection, name="connection"),
    path("connections/<int:pk>/pause/", connections.pause, name="connection_pause"),
    path("connections/<int:pk>/resume/", connections.resume, name="connection_resume"),
    path("connections/<int:pk>/sync/", connections.sync_now, name="connection_sync"),
    path("connections/<int:pk>/fetch/", connections.fetch_one, name="connection_fetch"),
    path("connections/<int:pk>/backfill/", connections.backfill, name="connection_backfill"),
    path("connections/<int:pk>/check/", connections.check, name="connection_check"),
    path("connections/<int:pk>/change/", connect.change, name="connection_change"),
    path("connections/<int:pk>/sign-in/", connect.sign_in, name="connection_sign_in"),
    path("connections/<int:pk>/consent/", connect.consent, name="connection_consent"),
    path("connect/", connect.choose, name="connect_choose"),
    path("connect/callback/", connect.consent_given, name="consent_given"),
    path("connect/<slug:kind>/", connect.connect, name="connect"),
]
