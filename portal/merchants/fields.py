"""Form fields that pages about people and merchants share."""

import unicodedata
from typing import Any

from django import forms

from portal.connectors.redaction import printable


def one_line(text: str) -> str:
    """The text as one line for anything that is read or sent as one, a mail's subject too."""
    spaced = " ".join(unicodedata.normalize("NFC", text).split())  # first: a line break is a space, not nothing
    return " ".join(printable(spaced).split())


class NameField(forms.CharField):
    """A name for eyes: single spaces, and none of the signs that cannot be seen or that turn a line round."""

    def to_python(self, value: Any) -> str:
        return one_line(super().to_python(value) or "")
