"""The translations are complete: each text of code and templates is there once, translated, and fits its source."""

import re

import pytest
from babel import Locale
from django.conf import settings
from django.utils import translation

from portal import catalogs
from portal.management.commands import messages

TRANSLATED = ["de"]
# Placeholders of both kinds, tags with their attributes, entities.
FIXED = re.compile(r"%\(\w+\)[sd]|%[sd]|%%|\{\w*\}|</?[a-z][^>]*>|&\w+;")


def test_every_language_offered_but_english_is_translated():
    offered = {code for code, _name in settings.LANGUAGES} - {settings.LANGUAGE_CODE}

    assert offered == set(TRANSLATED)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalog_holds_every_text_of_today_and_no_other(language):
    """`make messages` brings it up to date; what is new there is then empty, and the next test names it."""
    known = {(message.id, message.context) for message in catalogs.read(catalogs.source(language)) if message.id}
    today = {(message.id, message.context) for message in today_in(language) if message.id}

    assert sorted(map(str, today - known)) == []
    assert sorted(map(str, known - today)) == []
    assert not catalogs.read(catalogs.source(language)).obsolete


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_in_every_form_and_nothing_is_a_guess(language):
    catalog = catalogs.read(catalogs.source(language))
    forms = catalog.num_plurals

    for message in catalog:
        if not message.id:
            continue
        assert messages.said(message.string), f"not translated: {message.id!r}"
        assert not message.fuzzy, f"a guess: {message.id!r}"
        if isinstance(message.id, tuple | list):
            assert len(message.string) == forms, f"not in {forms} forms: {message.id!r}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_placeholders_tags_and_edges_of_its_source(language):
    for message in catalogs.read(catalogs.source(language)):
        if not message.id:
            continue
        sources = list(message.id) if isinstance(message.id, tuple | list) else [message.id]
        spoken = [message.string] if isinstance(message.string, str) else list(message.string)
        for text in spoken:
            assert fixed(text) in [fixed(source) for source in sources], f"{sources} ≠ {text!r}"
            assert edges(text) == edges(sources[0]), f"white space around {text!r}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_plural_rule_is_the_languages_own(language):
    catalog = catalogs.read(catalogs.source(language))
    rule, spoken = translation.trans_real.DjangoTranslation(language), Locale.parse(language)

    assert catalog.num_plurals == len(spoken.plural_form.tags) + 1
    ours = {rule.plural(count) for count in (0, 1, 2, 11, 100)}
    assert ours == {0, 1}
    assert rule.plural(1) == 0


def test_a_text_reaches_the_reader():
    with translation.override("de"):
        assert translation.gettext("Sign in") == "Anmelden"
        assert translation.ngettext("%(count)s point", "%(count)s points", 1) == "%(count)s Punkt"


def test_what_others_say_to_du_is_said_politely():
    """allauth's catalog is our own's neighbour; ours is asked first."""
    with translation.override("de"):
        assert translation.gettext("Please type your current password.") == "Geben Sie Ihr jetziges Passwort ein."
    for message in catalogs.read(catalogs.source("de")):
        text = message.string if isinstance(message.string, str) else " ".join(message.string)
        assert not re.search(r"\b(du|dich|dir|deine?[mnrs]?)\b", text, re.IGNORECASE), text


def test_the_same_thing_has_the_same_name():
    """docs/glossary.md: an English term, its German one, and words that never stand for it."""
    catalog = catalogs.read(catalogs.source("de"))
    rows = glossary()
    assert len(rows) > 20

    for english, german, never in rows:
        for message in catalog:
            text = message.string if isinstance(message.string, str) else " ".join(message.string)
            for word in never:
                assert not re.search(rf"\b{re.escape(word)}", text), f"{english} is {german}, not {word}: {text!r}"


def glossary() -> list[tuple[str, str, list[str]]]:
    lines = (settings.BASE_DIR / "docs" / "glossary.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [(row[0], row[1], [word.strip() for word in row[3].split(",") if word.strip()]) for row in cells[1:]]


def today_in(language: str):
    return messages.updated(catalogs.read(catalogs.source(language)), language)


def fixed(text: str) -> list[str]:
    return sorted(FIXED.findall(text))


def edges(text: str) -> tuple[bool, bool]:
    return text[:1].isspace(), text[-1:].isspace()
