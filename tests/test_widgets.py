"""A field drawn at one go is the one Django draws."""

import re

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from portal.widgets import Renderer

PLAIN = [("", "All"), ("a", "Größe & <b>"), (7, gettext_lazy("Point")), ("c", mark_safe("<i>safe</i>"))]
GROUPED = [("Kauri & Co", [("x", "X"), ("y", "Y")]), ("z", "Z")]


@pytest.mark.parametrize("choices", [PLAIN, GROUPED, []])
@pytest.mark.parametrize("value", [None, "", "a", 7, "x", '"><script>'])
@pytest.mark.parametrize("attrs", [{}, {"id": "id_a", "required": True, "disabled": False, "data-x": '"'}])
@pytest.mark.parametrize("widget", [forms.Select, forms.SelectMultiple, forms.NullBooleanSelect])
def test_a_select_box_is_the_one_that_django_draws(widget, choices, value, attrs):
    one = widget(choices=choices) if widget is not forms.NullBooleanSelect else widget()

    ours, theirs = (one.render("which", value, attrs, renderer) for renderer in (Renderer(), DjangoTemplates()))

    assert re.sub(r"\s*\n\s*", "", ours) == re.sub(r"\s*\n\s*", "", theirs)


@pytest.mark.parametrize("value", [None, "", "a", 7, '"><script>', mark_safe("&amp;")])
@pytest.mark.parametrize("attrs", [{}, {"id": "id_a", "required": True, "disabled": False, "data-x": '"'}])
@pytest.mark.parametrize("widget", [forms.TextInput, forms.HiddenInput, forms.DateInput, forms.EmailInput])
def test_an_input_is_the_one_that_django_draws(widget, value, attrs):
    ours, theirs = (widget().render('a"b', value, attrs, renderer) for renderer in (Renderer(), DjangoTemplates()))

    assert ours == theirs


def test_every_form_of_ours_is_drawn_by_it():
    class One(forms.Form):
        which = forms.ChoiceField(choices=PLAIN)

    assert isinstance(One().renderer, Renderer)
