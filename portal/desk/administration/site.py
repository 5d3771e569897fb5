"""The admin site: who gets in, whose rows are open inside, and the frame around its pages."""

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, cast

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, include, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_safe

from portal.merchants import second_factor, tenancy
from portal.merchants.models import Person

if TYPE_CHECKING:
    from portal.desk.administration.rows import Rows

View = Callable[..., HttpResponseBase]


class Site(AdminSite):
    """Open to administrators who have shown their second factor; to everybody else it looks like nothing.

    It has no page of its own to sign in, to sign out or to change a password: there is one way in for everybody.
    """

    site_url = "/"
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """`second_factor.of_administrators` guards every page; asked again here, it holds without the middleware."""
        user = request.user
        return bool(user.is_authenticated and user.is_active and user.is_staff and second_factor.was_shown(request))

    def admin_view(self, view: View, cacheable: bool = False) -> Any:
        """Every page of the site goes through here; inside, the rows of all merchants are open."""

        def inside(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise Http404
            with tenancy.every_merchant("administrators look after all merchants"):
                answer = view(request, *args, **kwargs)
                if isinstance(answer, TemplateResponse):
                    answer.render()  # while the rows are open
            return answer

        return csrf_protect(never_cache(update_wrapper(inside, view)))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Fewer than Django's: what is not here cannot be asked for."""
        pages: list[URLPattern | URLResolver] = [
            path("", self.admin_view(require_safe(self.index)), name="index"),
            path("login/", self.admin_view(require_safe(self.login)), name="login"),
        ]
        for model, model_admin in self._registry.items():
            pages.append(path(f"{model._meta.app_label}/{model._meta.model_name}/", include(model_admin.get_urls())))
        return pages

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django's address for it. Never a form: who comes here is signed in already, or was sent to the one page."""
        return redirect("admin:index")

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """The frame of the portal's own pages, with the administration's places in its rail."""
        return {
            "rail": self._rail(request),
            "home_url": reverse("admin:index"),
            "memberships": [],
            "place_name": _("Administration"),
            "person_name": cast(Person, request.user).name,
            "scan_denied": "",
            "time_zone": timezone.get_current_timezone_name(),
        }

    def _rail(self, request: HttpRequest) -> list[dict[str, object]]:
        places = [{"label": _("On call"), "url": reverse("on_call")}]
        places += [{"label": str(kind.title), "url": kind.list_url()} for kind in self.kinds() if kind.in_rail]
        places.append({"label": _("To the portal"), "url": reverse("choose")})
        return [{**place, "current": request.path.startswith(place["url"]), "count": ""} for place in places]

    def kinds(self) -> "list[Rows]":
        """What is registered, in reading order."""
        return cast("list[Rows]", list(self._registry.values()))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Every kind of row there is, and the box that finds a merchant."""
        kinds = [{"label": kind.title, "what": kind.what, "url": kind.list_url()} for kind in self.kinds()]
        return TemplateResponse(request, "admin/index.html", {**self.each_context(request), "kinds": kinds})


site = Site()
