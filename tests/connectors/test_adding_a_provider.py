"""docs/adding-a-provider.md is true: what it names is there, and what is there it names."""

import re
from pathlib import Path

import pytest

from portal.connectors import PROVIDERS
from portal.connectors.base import VERBS, Connector

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)


@pytest.mark.parametrize("path", sorted({code for code in CODE if re.fullmatch(r"[\w<>./-]+/[\w<>./-]*", code)}))
def test_every_file_it_names_is_there(path):
    for slug in PROVIDERS if "<p>" in path else [""]:
        assert (ROOT / path.replace("<p>", slug)).exists()


@pytest.mark.parametrize(("table", "path"), re.findall(r"`([A-Z]+)` in `([\w./]+)`", PAGE))
def test_every_table_it_names_is_there(table, path):
    assert re.search(rf"^{table}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_it_names_everything_a_connector_may_declare():
    own = {name for name in {**vars(Connector), **Connector.__annotations__} if not name.startswith("_")}

    assert own - set(VERBS) - set(CODE) == set()


DEMO = {"portal/desk/demo.py", "portal/desk/history.py", "portal/desk/history_plan.py", "portal/desk/demo_customers.py"}


def test_nothing_else_asks_which_provider_it_is():
    """A row in a template or a view for one provider would be one more file to touch."""
    named = re.compile("|".join(rf"""["']{slug}["']""" for slug in PROVIDERS))
    found = {
        str(file.relative_to(ROOT))
        for folder in ("portal", "templates")
        for file in (ROOT / folder).rglob("*.*")
        if file.suffix in {".py", ".html", ".txt"} and named.search(file.read_text(encoding="utf-8"))
    }
    of_providers = re.compile(rf"portal/(?:connectors|sandboxes)/(?:{'|'.join(PROVIDERS)})(?:_\w+)?\.py")

    assert {path for path in found if not of_providers.fullmatch(path)} <= DEMO
