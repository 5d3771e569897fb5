"""How a connector declares its settings, and the inputs only it has: frozen dataclasses from which forms,
storage and tests are made.

    @dataclass(frozen=True, kw_only=True)
    class CardsSettings(Settings):
        base_url: str = address(label="Address of the API")
        api_key: str = secret(label="Server key")

Labels, helps and sentences are plain English and serve as message ids: whoever shows them translates them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from portal.connectors.failures import Reason

Kind = Literal["text", "secret", "address", "choice", "switch", "number"]


class Sentence(str):
    """A sentence with values in it: in English as it stands, and `message % values` for whoever translates."""

    message: str
    values: dict[str, object]

    def __new__(cls, message: str, **values: object) -> Self:
        sentence = super().__new__(cls, message % values)
        sentence.message, sentence.values = message, values
        return sentence


class Message(str):
    """A message id with places such as %(provider)s for whoever says it to fill: collected for the catalogs where it
    stands."""


class Refused(ValueError):
    """A value that a setting does not take: a sentence for the person who typed it, and our reason."""

    def __init__(self, sentence: str, *, reason: Reason = Reason.SETTINGS) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.reason = reason


class SettingsError(ValueError):
    """Settings or inputs that do not pass. `errors` is {field: sentence}; no value is repeated in it."""

    def __init__(self, errors: dict[str, str], *, reason: Reason = Reason.SETTINGS) -> None:
        super().__init__(", ".join(sorted(errors)))
        self.errors = errors
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a form, a store and a test need to know of one setting or input.

    `kind` says how to ask and keep it: a secret is sealed and never shown again, an address must also pass
    `addresses.check`. `choices` are (value, label). `check` gets the tidied text and returns what is kept, or
    raises Refused with a sentence.
    """

    kind: Kind
    label: str
    help: str = ""
    required: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    minimum: int = 0
    maximum: int = 200
    check: Callable[[str], str] | None = None

    def clean(self, value: object) -> object:
        """The value to keep, of the kind's own type. Raises Refused."""
        if self.kind == "switch":
            return _switch(value)
        if self.kind == "number":
            return self._number(value)
        if not isinstance(value, str):
            raise Refused("Type a text.")
        text = value if self.kind == "secret" else value.strip()
        if not text and self.kind != "choice":
            raise Refused("Fill this in.")
        if self.kind == "choice" and text not in dict(self.choices):
            raise Refused("Choose one of the list.")
        if len(text) > self.maximum:
            raise Refused(Sentence("Use at most %(count)s characters.", count=self.maximum))
        if self.kind == "address":
            text = _tidy_address(text)
        return self.check(text) if self.check else text

    def _number(self, value: object) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise Refused(
                Sentence("Type a whole number from %(least)s to %(most)s.", least=self.minimum, most=self.maximum)
            )
        return value


def text(
    *,
    label: str,
    help: str = "",
    maximum: int = 200,
    check: Callable[[str], str] | None = None,
    **default: str,
) -> Any:
    """A short text, at most `maximum` characters; required unless `default=` is given."""
    return _declare(Field(kind="text", label=label, help=help, maximum=maximum, check=check), default)


def secret(*, label: str, help: str = "", maximum: int = 4096, check: Callable[[str], str] | None = None) -> Any:
    """A required text that is sealed, never shown again and never in a repr; taken exactly as typed."""
    return _declare(Field(kind="secret", label=label, help=help, maximum=maximum, check=check), {})


def address(*, label: str, help: str = "", check: Callable[[str], str] | None = None) -> Any:
    """A required base URL, kept without a slash at its end. Where it may point is decided by
    `addresses.check`."""
    return _declare(Field(kind="address", label=label, help=help, maximum=500, check=check), {})


def choice(*, label: str, help: str = "", choices: tuple[tuple[str, str], ...], **default: str) -> Any:
    """One of `choices`, (value, label) each; required unless `default=` is given."""
    return _declare(Field(kind="choice", label=label, help=help, choices=choices), default)


def switch(*, label: str, help: str = "", default: bool) -> Any:
    """On or off."""
    return _declare(Field(kind="switch", label=label, help=help), {"default": default})


def number(*, label: str, help: str = "", minimum: int, maximum: int, default: int) -> Any:
    """A whole number from `minimum` to `maximum`, both included."""
    declared = Field(kind="number", label=label, help=help, minimum=minimum, maximum=maximum)
    return _declare(declared, {"default": default})


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Base of what is declared by fields. What `parse` returns is valid; no repr holds a secret."""

    @classmethod
    def declared(cls) -> dict[str, Field]:
        """{name: Field} in the order of declaration: what a form is made from."""
        return {each.name: each.metadata["field"] for each in fields(cls)}

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """All fields, secrets included. Raises SettingsError with one sentence for each field that does not
        pass, an unknown name included. A missing (or None) value takes the default if there is one."""
        return cls(**cls._cleaned(values, cls.declared()))

    @classmethod
    def _cleaned(cls, values: Mapping[str, object], declared: Mapping[str, Field]) -> dict[str, Any]:
        defaults = {each.name: each.default for each in fields(cls)}
        errors = dict.fromkeys(values.keys() - declared.keys(), str(Sentence("There is no such field.")))
        reason = Reason.SETTINGS
        kept: dict[str, Any] = {}
        for name, asked in declared.items():
            value = values.get(name)
            # An empty box takes the default; an empty switch is one that is off.
            blank = value is None or (isinstance(value, str) and not value.strip() and asked.kind != "switch")
            if blank and not asked.required:
                kept[name] = defaults[name]
                continue
            try:
                kept[name] = asked.clean("" if value is None else value)
            except Refused as refused:
                errors[name] = refused.sentence
                reason = refused.reason if reason is Reason.SETTINGS else reason
        if errors:
            raise SettingsError(errors, reason=reason)
        return kept


@dataclass(frozen=True, kw_only=True)
class Settings(Declared):
    """Base of every connector's settings."""

    @classmethod
    def options(cls, values: Mapping[str, object]) -> dict[str, object]:
        """The settings without the secrets, checked and completed with defaults; secrets in `values` are left
        out.

        For a process that cannot open secrets, and for a form whose secret stays as it is. Raises
        SettingsError.
        """
        hidden = secret_names(cls)
        given = {name: value for name, value in values.items() if name not in hidden}
        return cls._cleaned(given, {n: f for n, f in cls.declared().items() if n not in hidden})


@dataclass(frozen=True, kw_only=True)
class Extra(Declared):
    """Base of the inputs that only one provider has for a verb (`Connector.extras`), such as how a number was
    read."""


def credential(value: str) -> str:
    """A check of what is sent in a header: printable ASCII without spaces. Raises Refused."""
    if not re.fullmatch("[!-~]+", value):
        raise Refused("It must not contain spaces, line breaks or letters with accents.")
    return value


def secret_names(settings: type[Settings]) -> frozenset[str]:
    """The names of the settings that must be sealed."""
    return frozenset(name for name, asked in settings.declared().items() if asked.kind == "secret")


def _declare(asked: Field, default: Mapping[str, object]) -> Any:
    if default:
        asked = Field(**{**vars(asked), "required": False})
    return field(repr=asked.kind != "secret", metadata={"field": asked}, **default)  # type: ignore[call-overload]


def _switch(value: object) -> bool:
    known = {True: True, False: False, "true": True, "on": True, "false": False, "": False}
    if not isinstance(value, bool | str) or value not in known:
        raise Refused("Switch this on or off.")
    return known[value]


def _tidy_address(url: str) -> str:
    sentence = "Type an address such as https://cards.example.com/api."
    if not re.fullmatch(r"https?://[^\s\\?#@]+", url, re.IGNORECASE) or not url.isprintable():
        raise Refused(sentence)
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
        host = parts.hostname or ""
        # Kept as it will be sent: a host with letters beyond ASCII in its international form.
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # a port or host that is none
        raise Refused(sentence) from None
    if not host:
        raise Refused(sentence)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")
