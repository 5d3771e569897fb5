"""The site's addresses as they are where DEMO=1."""

from portal.urls import demo, urlpatterns

urlpatterns = [*urlpatterns, *demo]
