from django.apps import AppConfig


class ShopperConfig(AppConfig):
    name = "portal.shopper"
    label = "shopper"
