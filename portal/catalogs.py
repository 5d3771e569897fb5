"""The translations: people write them as portal/locale/<language>/LC_MESSAGES/django.po; compiled here into what
gettext reads, without system tools."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import django
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.apps import apps
from django.conf import settings
from django.utils.translation import to_locale

SOURCES = Path(__file__).parent / "locale"


def source(language: str) -> Path:
    """Where the translation into `language` is written."""
    return SOURCES / to_locale(language) / "LC_MESSAGES" / "django.po"


def read(path: Path) -> Catalog:
    """A catalog as it is written. Raises babel's PoFileError where it cannot be read."""
    with path.open("rb") as text:
        return read_po(text, abort_invalid=True)


def compile_all() -> None:
    """Compile each catalog that changed since; any number of processes may do so at once."""
    for written in SOURCES.glob("*/LC_MESSAGES/*.po"):
        ready = settings.VAR / "locale" / written.relative_to(SOURCES).with_suffix(".mo")
        if not _newer(ready, written):
            _write(read(written), ready)
    for language, _name in settings.PSEUDO_LANGUAGES:
        ready = settings.VAR / "locale" / to_locale(language) / "LC_MESSAGES" / "django.mo"
        if not _newer(ready, source("de")):
            _write(pseudo([source("de"), *_borrowed()]), ready)


def _newer(ready: Path, written: Path) -> bool:
    return ready.exists() and ready.stat().st_mtime >= written.stat().st_mtime


def _write(catalog: Catalog, ready: Path) -> None:
    ready.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=ready.parent, delete=False) as made:
        write_mo(made, catalog)
    Path(made.name).chmod(0o644)
    os.replace(made.name, ready)


# ---- Pseudo-languages ---------------------------------------------------------------------------------------------
_ACCENTED = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "ȦƁƇḒḖƑƓĦĪĴĶĿḾȠǾƤɊŘŞŦŬṼẆẊẎẐȧƀƈḓḗƒɠħīĵķŀḿƞǿƥɋřşŧŭṽẇẋẏẑ",
)
# What is no text: placeholders, tags, entities.
_KEPT = re.compile(r"(%\(\w+\)[sd]|%%|\{\w*\}|</?[a-z][^>]*>|&\w+;)")


def pseudo(sources: Iterable[Path]) -> Catalog:
    """A translation of every text in `sources` that shows at a glance what did not pass through a catalog."""
    made = Catalog(locale="en", charset="utf-8")
    for message in chain.from_iterable(read(path) for path in sources):
        if message.id:
            texts = message.id if isinstance(message.id, tuple | list) else [message.id]
            spoken = [pseudo_text(text) for text in texts]
            made.add(message.id, spoken if len(spoken) > 1 else spoken[0], context=message.context)
    return made


def _borrowed() -> Iterator[Path]:
    """The texts of Django and of its applications we use."""
    yield Path(django.__file__).parent / "conf" / "locale" / "de" / "LC_MESSAGES" / "django.po"
    for application in apps.get_app_configs():
        yield from Path(application.path).glob("locale/de/LC_MESSAGES/django.po")


def pseudo_text(text: str) -> str:
    """⟦Ŧȧķḗ %(amount)s ~~~~⟧: accents, 40 % more length, and brackets that show where it was cut or put together."""
    spoken = "".join(
        piece if index % 2 else piece.translate(_ACCENTED) for index, piece in enumerate(_KEPT.split(text))
    )
    begin, words, end = re.fullmatch(r"(\s*)(.*?)(\s*)", spoken, re.DOTALL).groups()  # type: ignore[union-attr]
    length = sum(len(piece) for piece in _KEPT.split(text)[::2])
    return f"{begin}⟦{words} {_padding(length)}⟧{end}"


def _padding(length: int) -> str:
    """So much more as a translation may need, in words that may be wrapped."""
    more = max(2, round(length * 0.4))
    return " ".join("~" * min(6, more - start) for start in range(0, more, 7))
