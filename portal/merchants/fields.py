"""Form fields that pages about people and merchants share."""

from typing import Any

from django import forms

from portal.connectors.redaction import printable


class NameField(forms.CharField):
    """A name for eyes: single spaces, and none of the signs that cannot be seen or that turn a line round."""

    def to_python(self, value: Any) -> str:
        return " ".join(printable(super().to_python(value) or "").split())
