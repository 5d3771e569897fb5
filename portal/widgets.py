"""How form fields are drawn: as Django draws them, but inputs and select boxes at one go.

Django takes two templates for each option and for each input, and a list's page has dozens of them: 3 ms of its 25.
"""

from html import escape
from typing import Any

from django.forms import widgets
from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.safestring import mark_safe

_INPUTS = {each.template_name for each in (widgets.TextInput, widgets.HiddenInput, widgets.DateInput)}


class Renderer(DjangoTemplates):
    """Django's renderer of forms (`FORM_RENDERER`)."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        if template_name == widgets.Select.template_name:
            return mark_safe(_select(context["widget"]))  # each piece is escaped there
        if template_name in _INPUTS:
            return mark_safe(_input(context["widget"]))
        return super().render(template_name, context, request)


def _select(widget: dict[str, Any]) -> str:
    pieces = [f'<select name="{_text(widget["name"])}"{_attributes(widget["attrs"])}>']
    for group, options, _number in widget["optgroups"]:
        if group:
            pieces.append(f'<optgroup label="{_text(group)}">')
        for option in options:
            value, label = _text(option["value"]), _text(option["label"])
            pieces.append(f'<option value="{value}"{_attributes(option["attrs"])}>{label}</option>')
        if group:
            pieces.append("</optgroup>")
    return "\n".join([*pieces, "</select>"])


def _input(widget: dict[str, Any]) -> str:
    value = "" if widget["value"] is None else f' value="{_text(widget["value"])}"'
    return f'<input type="{widget["type"]}" name="{_text(widget["name"])}"{value}{_attributes(widget["attrs"])}>'


def _attributes(attrs: dict[str, Any]) -> str:
    named = ((name, value) for name, value in attrs.items() if value is not False)
    return "".join(f" {name}" if value is True else f' {name}="{_text(value)}"' for name, value in named)


def _text(value: object) -> str:
    text = str(value)
    return text if hasattr(text, "__html__") else escape(text)
