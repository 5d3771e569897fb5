from django.apps import AppConfig
from django.db.backends.signals import connection_created


class MerchantsConfig(AppConfig):
    name = "portal.merchants"
    label = "merchants"

    def ready(self) -> None:
        from portal.merchants import tenancy

        # The only place where the context can be put on a connection before its first query.
        connection_created.connect(tenancy.on_connection_created, dispatch_uid="tenancy")
