from django.apps import AppConfig


class PortalConfig(AppConfig):
    """A home for the management commands and the start-up checks."""

    name = "portal"

    def ready(self) -> None:
        # So that every Django process, a command as well as the web, publishes to our broker and to no other.
        import portal.celery  # noqa: F401
        from portal import catalogs

        catalogs.compile_all()
