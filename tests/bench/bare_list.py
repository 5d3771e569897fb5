"""The least a list of the same rows can be in Django: no session, no rights, no frame; fifty rows and a template."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from portal.ledger.models import Operation
from portal.merchants import tenancy

PAGE = """<!doctype html><title>Operations</title><table>{% for row in rows %}<tr>
<td><a href="{{ row.key }}/">{{ row.verb }}</a></td><td>{{ row.card__last_four }}</td>
<td>{{ row.connection__name }}</td><td>{{ row.amount_minor }} {{ row.currency }}</td>
<td>{{ row.state }}</td><td>{{ row.asked_by__name }}</td>
<td><time datetime="{{ row.asked_at|date:'c' }}">{{ row.asked_at|date:'j F Y, H:i' }}</time></td>
</tr>{% endfor %}</table>"""
COLUMNS = (
    *("key", "verb", "card__last_four", "connection__name", "amount_minor", "currency", "state", "asked_by__name"),
    "asked_at",
)
_template = engines["django"].from_string(PAGE)


def operations(request: HttpRequest, merchant: int) -> HttpResponse:
    """The merchant's newest fifty."""
    with tenancy.merchant(merchant):
        rows = Operation.objects.filter(merchant=merchant).order_by("-asked_at", "-id").values(*COLUMNS)[:50]
        return HttpResponse(_template.render({"rows": list(rows)}))


def own_addresses(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The only middleware: this module's addresses instead of the site's."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.urlconf = __name__
        return get_response(request)

    return middleware


urlpatterns = [path("<int:merchant>/", operations)]
