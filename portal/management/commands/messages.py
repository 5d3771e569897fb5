"""`manage.py messages`: bring every catalog up to what the code and the templates say now (`make messages`)."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allauth
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po
from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation.template import templatize

from portal import catalogs
from portal.connectors import PROVIDERS, findings
from portal.connectors.fields import Field

ROOT = settings.BASE_DIR
# Who takes which arguments: (context, one, many).
_WORDS: dict[str, Any] = {
    **dict.fromkeys(["_", "gettext", "gettext_lazy", "gettext_noop"], None),
    **dict.fromkeys(["ngettext", "ngettext_lazy"], (1, 2)),
    **dict.fromkeys(["pgettext", "pgettext_lazy"], ((1, "c"), 2)),
    **dict.fromkeys(["npgettext", "npgettext_lazy"], ((1, "c"), 2, 3)),
    # Connectors know no Django: their sentences are message ids.
    **dict.fromkeys(["Refused", "BadNumber", "AddressRefused", "Sentence", "Message"], None),
}
# Parts of allauth whose pages and mails people see.
_SHOWN = ("account/", "mfa/", "usersessions/", "core/", "utils.py", "decorators.py")

_HEADER = """# The same thing always has the same name: docs/glossary.md.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plural_forms}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""

Found = tuple[str, str | tuple[str, ...], str | None]


class Command(BaseCommand):
    help = "Write new texts into the catalogs, empty, and take out those that are gone."

    def handle(self, *args: Any, **options: Any) -> None:
        for language, _name in settings.LANGUAGES:
            if language == settings.LANGUAGE_CODE or (language, _name) in settings.PSEUDO_LANGUAGES:
                continue
            path = catalogs.source(language)
            path.parent.mkdir(parents=True, exist_ok=True)
            known = catalogs.read(path) if path.exists() else Catalog(locale=language)
            made = updated(known, language)
            path.write_bytes(written(made))
            empty = sum(not said(message.string) for message in made if message.id)
            self.stdout.write(f"{path.relative_to(ROOT)}: {len(made)} texts, {empty} to be translated")


def updated(known: Catalog, language: str) -> Catalog:
    """All texts of today, with the translations we have."""
    made = Catalog(locale=language, fuzzy=False)
    for place, message, context in texts(language):
        before = known.get(message if isinstance(message, str) else message[0], context)
        kept = before.string if before is not None and _alike(before.id, message) else None
        empty = "" if isinstance(message, str) else [""] * made.num_plurals
        made.add(message, kept or empty, locations=[(place, 0)], context=context)
    return made


def written(catalog: Catalog) -> bytes:
    """The catalog as it is kept: in the order of the texts, so that two people's changes seldom meet."""
    text = io.BytesIO()
    write_po(text, catalog, width=120, sort_output=True, include_lineno=False, omit_header=True)
    return (
        _HEADER.format(language=catalog.locale_identifier, plural_forms=catalog.plural_forms).encode() + text.getvalue()
    )


def said(translation: Any) -> bool:
    """Whether there is a translation, in every form."""
    return bool(translation) and (isinstance(translation, str) or all(translation))


def texts(language: str) -> Iterator[Found]:
    """Every text people see, with the file it is in and its context."""
    for path in sorted([*ROOT.glob("templates/**/*.html"), *ROOT.glob("templates/**/*.txt")]):
        # Django makes a template look like a program; indented as it happens to be, Python would not read it.
        program = templatize(path.read_text(), origin=str(path))
        yield from _in_program("\n".join(line.strip() for line in program.splitlines()), path)
    for path in sorted(ROOT.glob("portal/**/*.py")):
        if "sandboxes" not in path.parts:
            yield from _in_program(path.read_text(), path)
    yield from _declared()
    yield from _impolite(language)


def _in_program(program: str, path: Path) -> Iterator[Found]:
    place = str(path.relative_to(ROOT))
    for _line, message, _comments, context in extract("python", io.BytesIO(program.encode()), keywords=_WORDS):
        if message:
            yield place, message, context


def _declared() -> Iterator[Found]:
    """What connectors ask for: labels, helps and choices of their settings and of the inputs only they have; and what
    the doctor says."""
    yield from (("portal/connectors/findings.py", text, None) for text in findings.every_text())
    for connector in PROVIDERS.values():
        place = f"portal/connectors/{connector.slug}.py"
        for asked in [connector.Settings, *connector.extras.values()]:
            for field in asked.declared().values():
                for text in _of_field(field):
                    yield place, text, None
        for words in connector.words.values():
            yield from ((place, text, None) for text in words.texts())


def _of_field(field: Field) -> list[str]:
    return [text for text in (field.label, field.help, *(label for _value, label in field.choices)) if text]


def _impolite(language: str) -> Iterator[Found]:
    """allauth's German says du; what of it people here may read is said again, politely."""
    theirs = Path(allauth.__file__).parent / "locale" / language / "LC_MESSAGES" / "django.po"
    du = {"du", "dich", "dir", "dein", "deine", "deiner", "deinen", "deinem", "deines", "gib", "habe"}
    for message in catalogs.read(theirs) if theirs.exists() else ():
        words = " ".join([message.string] if isinstance(message.string, str) else message.string or []).lower().split()
        shown = any(str(place).startswith(_SHOWN) for place, _line in message.locations)
        if message.id and shown and du.intersection(word.strip(".,:;!?") for word in words):
            yield "allauth", message.id if isinstance(message.id, str) else tuple(message.id), message.context


def _alike(one: Any, other: Any) -> bool:
    return isinstance(one, str) == isinstance(other, str) and (isinstance(one, str) or tuple(one) == tuple(other))
