from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MonitoringConfig(AppConfig):
    name = "monitoring"
    verbose_name = _("Monitoring")

    def ready(self) -> None:
        from connectors import operations
        from monitoring.packing import fetching, printing
        from monitoring.reconciliation import census, deeds
        from orders import timeline

        operations.OPERATIONS.update({census.OPERATION: census.count, deeds.CANCEL_TWIN: deeds.cancel_twin})
        timeline.register(deeds.SENTENCES)
        operations.OPERATIONS[fetching.OPERATION] = fetching.fetch
        timeline.register(printing.SENTENCES)
