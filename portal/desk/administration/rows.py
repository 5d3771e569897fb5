"""Rows as administrators see them: looked for, listed and read, never written.

What a list or a page shows is a list of facts, each with its label. There is no other way to a column: nothing is
sorted, filtered or searched by but what the model's admin names, so that no secret can be asked for letter by letter.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.functional import Promise
from django.views.decorators.http import require_http_methods, require_safe

from portal.desk.administration.deeds import Deed, NotDone
from portal.desk.administration.facts import Fact, page_url
from portal.desk.administration.lists import Listed, around
from portal.desk.administration.site import Site
from portal.merchants import accounts, audit, tenancy
from portal.merchants.models import Merchant


class Rows(ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """One model in the administration. A subclass names its title, what it shows, and how rows are found."""

    title: ClassVar[str | Promise]
    what: ClassVar[str | Promise] = ""
    in_rail: ClassVar[bool] = False
    notes_lists: ClassVar[bool] = True  # that its list was looked through is a line in the trail of each merchant on it
    deeds: ClassVar[tuple[Deed, ...]] = ()
    in_trail: ClassVar[str] = ""  # what a look through the list is called there; otherwise the model's plural
    lists: ClassVar[tuple[Fact, ...]] = ()  # in the list; the first leads to the row
    shows: ClassVar[tuple[Fact, ...]] = ()  # on a row's page
    related: ClassVar[tuple[str, ...]] = ()  # read along with the rows of a list
    page_related: ClassVar[tuple[str, ...]] = ()  # and these with the one row of a page

    # Nothing by which Django would write.
    actions = None
    list_editable = ()
    inlines = ()
    view_on_site = False
    save_on_top = False
    # Nothing by which a visitor would choose what the database is asked.
    search_fields = ()
    sortable_by = ()
    date_hierarchy = None
    show_facets = ShowFacets.NEVER
    preserve_filters = False
    # Nothing that counts everything.
    show_full_result_count = False
    list_max_show_all = 0

    ordering: ClassVar[Any] = ("-pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.admin_site.has_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By the filters named in `list_filter` and by nothing else, across no relation."""
        return lookup in {each.parameter_name for each in self.list_filter}  # type: ignore[union-attr]

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listed

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.lists

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.shows

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self._with(self.related)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return self._with((*self.related, *self.page_related)).filter(pk=object_id).first()

    def _with(self, related: tuple[str, ...]) -> QuerySet[Any]:
        """Sealed columns and hashes are not even read, here and in what is read along.

        Read along by queries of their own: joined, the planner takes the policies of the other tables for filters that
        leave next to nothing, and sorts all rows instead of taking the newest from the index.
        """
        rows: QuerySet[Any] = self.model._default_manager.defer(*hidden(self.model))
        return rows.prefetch_related(*(Prefetch(way, queryset=self._related(way)) for way in related))

    def _related(self, way: str) -> QuerySet[Any]:
        model: Any = self.opts.get_field(way).related_model
        rows: QuerySet[Any] = model._default_manager.defer(*hidden(model))
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        return (self.found(queryset, text) if text else queryset), False

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """The rows that `text` names. An index has to lead there."""
        return rows.none()

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        pages = [
            path("", self.admin_site.admin_view(self.changelist_view), name=f"{name}_changelist"),
            path("<int:object_id>/", self.admin_site.admin_view(self.change_view), name=f"{name}_change"),
        ]
        if self.deeds:
            deed = self.admin_site.admin_view(self.deed_view)
            pages.append(path("<int:object_id>/<slug:deed>/", deed, name=f"{name}_deed"))
        return pages

    @classmethod
    def of(cls, site: Site, model: type[models.Model]) -> "Rows":
        """The admin of a model."""
        return site._registry[model]  # type: ignore[return-value]

    def list_url(self, merchant: Merchant | None = None) -> str:
        """The address of the list, of one merchant's rows if given."""
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{url}?merchant={merchant.slug}" if merchant else url

    # ---- Two pages --------------------------------------------------------------------------------------------
    @method_decorator(require_safe)
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A list. Whose rows were on it stands in those merchants' trails."""
        answer = super().changelist_view(request, {"admin": self, **(extra_context or {})})
        if isinstance(answer, TemplateResponse) and answer.context_data:
            listed = answer.context_data["cl"]
            rows = list(listed.result_list)
            answer.context_data |= {
                "labels": [each.short_description for each in self.lists],
                "title": self.title,
            }
            answer.context_data["lines"] = [(page_url(row), self._cells(row)) for row in rows]
            answer.context_data |= around(listed)
            if self.notes_lists:
                self._note(request, rows, self.in_trail or f"{self.opts.model_name}s")
        return answer

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One row. That it was looked at stands in its merchant's trail."""
        row = self.get_object(request, str(object_id))
        if row is None:
            raise Http404
        self._note(request, [row], self.subject(row))
        more = {"admin": self, "title": self.name(row), "ways": self.ways(row), **(extra_context or {})}
        more["deeds"] = [(deed.label, self.deed_url(row, deed)) for deed in self.deeds if deed.offered(row)]
        return super().change_view(request, str(object_id), form_url, more)

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def deed_view(self, request: HttpRequest, object_id: int, deed: str) -> HttpResponse:
        """Do something about a row, once a reason is given and it is clear who does it."""
        row = self.get_object(request, str(object_id))
        chosen = next((each for each in self.deeds if each.slug == deed and row and each.offered(row)), None)
        if row is None or chosen is None:
            raise Http404
        typed = {"data": request.POST} if request.method == "POST" else {"initial": chosen.initial(row)}
        with self._its_merchant(row):
            form = chosen.form(row=row, **typed)
        if request.method == "POST" and form.is_valid():
            accounts.require_recent_proof(request)
            try:
                with self._its_merchant(row):
                    said, place = chosen.do(request, row, form.cleaned_data)
            except NotDone as why:
                messages.error(request, str(why))
                return redirect(page_url(row))
            messages.success(request, said)
            return redirect(place or page_url(row))
        page = {"admin": self, "row_name": self.name(row), "title": chosen.label, "sentence": chosen.sentence(row)}
        page |= {"form": form, "back_url": page_url(row), **self.admin_site.each_context(request)}
        return TemplateResponse(request, "admin/deed.html", page, status=422 if form.errors else 200)

    def _its_merchant(self, row: Any) -> AbstractContextManager[None]:
        """The merchant whose rows a deed writes; a row of none leaves the context as it is."""
        merchant = row.pk if isinstance(row, Merchant) else getattr(row, "merchant_id", None)
        return tenancy.merchant(merchant) if merchant is not None else nullcontext()

    def deed_url(self, row: Any, deed: Deed) -> str:
        """The address of a deed."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_deed", args=[row.pk, deed.slug])

    def _cells(self, row: Any) -> list[tuple[str | Promise, str, Any]]:
        """Each with its label, the stylesheet's name for it, and its text."""
        return [(each.short_description, each.cell, each(row)) for each in self.lists]

    def _note(self, request: HttpRequest, rows: Iterable[Any], subject: str) -> None:
        merchants = {each for row in rows for each in self.merchants_of(row)}
        audit.looked(subject, merchants=merchants, request=request)

    def merchants_of(self, row: Any) -> list[int]:
        """Whose trail says that this row was looked at."""
        return [row.merchant_id] if row.merchant_id is not None else []

    def name(self, row: Any) -> str:
        """What the row is called on its page."""
        return str(row)

    def subject(self, row: Any) -> str:
        """What it is called in the trail."""
        return self.name(row)

    def ways(self, row: Any) -> list[tuple[str, str]]:
        """Where its page leads: labels and addresses."""
        return []


SECRET_WORDS = ("sealed", "secret", "hash", "password", "token", "verifier", "fingerprint", "index", "in_flight_key")
KNOWN_OF_SECRETS = ("secret_notes",)  # who set them when; no fact leads there but the one that says just that


def hidden(model: type[models.Model]) -> list[str]:
    """The columns that are no administrator's business: bytes, which are sealed or keyed hashes, and what is called
    like a secret."""
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, models.BinaryField)
        or (any(word in field.name for word in SECRET_WORDS) and field.name not in KNOWN_OF_SECRETS)
    ]
