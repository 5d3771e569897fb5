"""How form fields are drawn: as Django draws them, but a select box at one go.

Django takes two templates for each option, and a list's page has dozens of them: 2 ms of its 25.
"""

from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.widgets import Select
from django.http import HttpRequest
from django.utils.html import conditional_escape
from django.utils.safestring import mark_safe


class Renderer(DjangoTemplates):
    """Django's renderer of forms (`FORM_RENDERER`)."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        if template_name == Select.template_name:
            return mark_safe(_select(context["widget"]))  # each piece is escaped there
        return super().render(template_name, context, request)


def _select(widget: dict[str, Any]) -> str:
    pieces = [f'<select name="{conditional_escape(widget["name"])}"{_attributes(widget["attrs"])}>']
    for group, options, _number in widget["optgroups"]:
        if group:
            pieces.append(f'<optgroup label="{conditional_escape(group)}">')
        for option in options:
            value, label = conditional_escape(str(option["value"])), conditional_escape(option["label"])
            pieces.append(f'<option value="{value}"{_attributes(option["attrs"])}>{label}</option>')
        if group:
            pieces.append("</optgroup>")
    return "\n".join([*pieces, "</select>"])


def _attributes(attrs: dict[str, Any]) -> str:
    named = ((name, value) for name, value in attrs.items() if value is not False)
    return "".join(
        f" {name}" if value is True else f' {name}="{conditional_escape(str(value))}"' for name, value in named
    )
