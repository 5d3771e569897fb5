"""A card's number, out of what a person typed or scanned."""

import re

from portal.connectors.fields import Refused, Sentence


class BadNumber(Refused):
    """A typed card number that cannot be one. `message` % `values` is a sentence; so is str()."""

    def __init__(self, message: str, **values: int) -> None:
        super().__init__(Sentence(message, **values))
        self.message = message
        self.values = values


def grouped(typed: str, *, shortest: int, longest: int) -> str:
    """The number without surrounding space and without spaces and hyphens between groups. It is a text: no zero is
    dropped, no check digit asked for. Raises BadNumber."""
    if len(typed) > 4 * longest:
        raise BadNumber("A card number has at most %(count)d characters.", count=longest)
    bare = re.sub("[ -]", "", typed.strip(" \t\r\n"))
    if not re.fullmatch("[0-9A-Za-z]*", bare):  # not isalnum(): that takes every script
        raise BadNumber("A card number has only letters A to Z and digits.")
    if len(bare) < shortest:
        raise BadNumber("Type at least %(count)d characters of the card number.", count=shortest)
    if len(bare) > longest:
        raise BadNumber("A card number has at most %(count)d characters.", count=longest)
    return bare
