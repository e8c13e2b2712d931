from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Entreposto"

    def ready(self) -> None:
        from hub.people import signals  # noqa: F401  (connects itself)
