from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Only a home for the management commands and the start-up checks."""

    name = "portal"
