"""The doctor: every way a connection can be wrong, found at the real sandbox or at real servers with bad manners."""

import pytest

from portal.connectors import PROVIDERS
from portal.connectors.doctor import Step, capabilities, examine
from portal.connectors.http import Wire

NEEDED: dict[str, dict[str, object]] = {"cardinquiry": {"currency": "EUR"}, "paywizard": {}}


@pytest.fixture(params=PROVIDERS)
def slug(request):
    return request.param


@pytest.fixture
def practise(sandbox):
    """Examines a connection to the sandbox, with its own credentials except where told otherwise."""
    wire = Wire(allow=[sandbox.url])

    def examined(slug, *, environment="sandbox", **settings):
        declared = PROVIDERS[slug].Settings.declared()
        known = {name: text for name, text in sandbox.credentials(slug).items() if name in declared}
        known |= {"base_url": f"{sandbox.url}/{slug}"} | NEEDED[slug] | settings
        return examine(slug, known, wire=wire, environment=environment, total_seconds=5.0)

    yield examined
    wire.close()


def steps(findings):
    return [(finding.step, finding.passed) for finding in findings]


def test_a_good_connection_passes_every_step(practise, slug):
    findings = practise(slug)

    assert steps(findings) == [(step, True) for step in Step]
    assert [finding.fix for finding in findings] == ["", "", ""]
    assert findings[0].sentence == f"{PROVIDERS[slug].name} answers, and our clocks agree."


def test_a_card_looker_cannot_do_anything_else():
    can, cannot = capabilities("cardinquiry", {})

    assert can == ("balance",)
    assert [verb for verb, why in cannot][:2] == ["activate", "top_up"]
    assert cannot[0][1] == "CardInquiry offers no such call."
