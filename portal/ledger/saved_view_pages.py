"""Saving a view of a list, renaming it, starting with it, and forgetting it."""

import uuid

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.connectors.redaction import printable
from portal.ledger import list_pages, saved_views
from portal.ledger.list_forms import ListForm
from portal.ledger.models import SavedView
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, who_can


class ViewForm(forms.Form):
    """A view's name, and whether its list starts with it."""

    name = forms.CharField(
        label=_("Name of the view"), max_length=60, error_messages={"required": _("Type a name for the view.")}
    )
    is_start = forms.BooleanField(label=_("Start the list with it"), required=False)
    view: SavedView | None = None

    def clean_name(self) -> str:
        name = " ".join(printable(self.cleaned_data["name"]).split())
        if not name:
            raise forms.ValidationError(gettext("Type a name for the view."))
        return name


@require_POST
@member(Permission.SEE_OPERATIONS)
def save_operations(request: StaffRequest) -> HttpResponse:
    """Keep how the list of operations is narrowed by the address."""
    return _save(request, "operations", list_pages.operations_form(request))


@require_POST
@member(Permission.SEE_OPERATIONS)
def save_cards(request: StaffRequest) -> HttpResponse:
    """Keep how the list of cards is narrowed by the address."""
    return _save(request, "cards", list_pages.cards_form(request))


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def listed(request: StaffRequest) -> HttpResponse:
    """One's own views of both lists. A post names one of them, and gives it another name, makes its list start with it,
    or forgets it."""
    if request.method != "POST":
        return _show(request)
    if not request.POST.get("view"):
        messages.warning(request, gettext("Choose one of your views."))
        return redirect("saved_views", request.merchant.slug)
    found = _mine(request, request.POST["view"])
    form = _form(found, request.POST)
    try:
        if "forget" in request.POST:
            saved_views.delete(request.member, found)
            messages.success(request, gettext("The view is gone. What it showed is still there."))
            return redirect("saved_views", request.merchant.slug)
        if form.is_valid():
            saved_views.change(request.member, found, **form.cleaned_data)
            messages.success(request, gettext("The view is kept."))
            return redirect("saved_views", request.merchant.slug)
    except saved_views.NameTaken:
        form.add_error("name", gettext("You have a view by this name already."))
    except PermissionDenied:
        return _denied(request)
    return _show(request, form)


def _show(request: StaffRequest, wrong: ViewForm | None = None) -> HttpResponse:
    titles = {"operations": gettext("Operations"), "cards": gettext("Cards")}
    lists = []
    for page, title in titles.items():
        views = saved_views.of(request.member, page)
        forms = [wrong if wrong and wrong.view == each else _form(each) for each in views]
        opened = [(form, list_pages.view_url(request, each)) for form, each in zip(forms, views, strict=True)]
        lists.append((page, title, reverse(page, args=[request.merchant.slug]) + "?all", opened))
    context = {"lists": lists, "form": wrong, "views_url": reverse("saved_views", args=[request.merchant.slug])}
    return render(request, "ledger/saved_views.html", context, status=422 if wrong else 200)


def _form(view: SavedView, given: QueryDict | None = None) -> ViewForm:
    initial = {"name": view.name, "is_start": view.is_start}
    form = ViewForm(given, initial=initial, auto_id=f"id_{view.key.hex}_%s")
    form.view = view
    return form


def _mine(request: StaffRequest, text: str) -> SavedView:
    try:
        key = uuid.UUID(text)
    except ValueError:
        raise Http404 from None
    found = SavedView.objects.filter(merchant=request.merchant, person=request.person, key=key).first()
    if found is None:
        raise Http404
    return found


def _save(request: StaffRequest, page: str, narrowing: ListForm) -> HttpResponse:
    """The name is asked for beside the list; what is wrong with"""
    form = ViewForm(request.POST)
    query = QueryDict(mutable=True)
    if narrowing.is_valid():
        query.update(narrowing.narrowed())
    here = reverse(page, args=[request.merchant.slug]) + "?" + (query.urlencode() or "all")
    if form.is_valid() and narrowing.is_valid():
        try:
            saved_views.save(request.member, page=page, query=query.urlencode()[:1000], **form.cleaned_data)
        except saved_views.NameTaken:
            form.add_error("name", gettext("You have a view by this name already."))
        except saved_views.TooMany:
            form.add_error(None, gettext("You have as many views of this list as there may be. Delete one first."))
        except PermissionDenied:
            return _denied(request)
        else:
            messages.success(request, gettext("The view is kept."))
            return redirect(here)
    return render(request, "ledger/save_view.html", {"form": form, "list_url": here}, status=422)


def _denied(request: StaffRequest) -> HttpResponse:
    """Removed or lowered between the page and the press."""
    return render(request, "403.html", {"who_can": who_can(Permission.SEE_OPERATIONS)}, status=403)
