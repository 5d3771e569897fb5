"""The one stylesheet, whose names all pages share."""

import re
from collections import Counter

from tests.environment import ROOT


def test_each_measure_of_the_stylesheet_is_defined_once():
    """A second one further down would take its place on every page, far from where it was meant."""
    css = re.sub(r"/\*.*?\*/", "", (ROOT / "static/css/tillside.css").read_text(), flags=re.DOTALL)
    roots = re.findall(r"(?m)^:root \{(.*?)\}", css, flags=re.DOTALL)
    names = Counter(name for each in roots for name in re.findall(r"(--[a-z0-9-]+):", each))

    assert len(names) > 40
    assert [name for name, times in names.items() if times > 1] == []
