"""What the doctor says to a person: each sentence met on the way to a connection, with its ticks and what to do about
it. Nothing typed is lost, and once it is mended the same draft goes through to connected.

One journey is one draft that meets several sentences, so that a person is not made to type everything for each. The
shop is these journeys' own, and so is its owner.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from playwright.sync_api import expect

from portal.connectors import PROVIDERS
from tests.journeys.conftest import Visitor
from tests.journeys.test_accounts import newcomer, opens_a_shop, signs_up

ADDRESS, CARD = "Address of the API", "Card number for tests"
SECRETS = {
    "paywizard": ("Client secret", "Transaction token"),
    "cardinquiry": ("Server key",),
    "secuconnect": ("Client secret",),
    "revenuemonster": ("Client secret", "Private key"),
}
# What lies on the way to a provider is nobody's own: these stand for all.
ON_THE_WAY = ("paywizard", "cardinquiry")
NOBODYS = "nobodys-0000000000000000"
OTHER_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


def as_pasted(text: str) -> str:
    """What a box of one line makes of it."""
    return text.replace("\n", "")


def ending(text: str) -> str:
    """What is shown of a secret: of a key, what its frame holds."""
    return re.sub("-----.*?-----", "", as_pasted(text))[-4:]


@dataclass(frozen=True, kw_only=True)
class Meets:
    """One way to fail: what is typed otherwise, or which `fault`, `answer` or `certificate` is in the way; how many
    steps pass, the sentence of the one that does not, and what to do."""

    typed: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    answer: tuple[int, bytes] | tuple[()] = ()
    certificate: str = ""
    passed: int = 0
    sentence: str
    fix: str
    said: str = ""
    away: bool = False  # the connection may be kept, paused


# ---- The person, and what they do ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def owner(browser, stack) -> Iterator[Visitor]:
    """Somebody with a second factor and a shop of their own, signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    person = Visitor(context.new_page(), stack)
    signs_up(person, newcomer())
    opens_a_shop(person)
    person.desk = person.page.url
    person.opens("/account/")
    person.clicks("Set up an app", "link")
    secret = person.page.locator(".to-copy").inner_text()
    person.types("Authenticator code", format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    person.clicks("Set it up")
    person.sees("Recovery codes")
    person.opens("/accounts/second-factor/prove/?next=/account/")
    person.types("Code", format_hotp_value(hotp_value(secret, int(time.time()) // 30 + 1)))
    person.presses("Enter")
    person.page.wait_for_url(f"{stack.url}/account/")  # not the page before, which names it in its own address
    yield person
    context.close()


class Draft:
    """A connection being set up by `person`, with what stands in its boxes."""

    def __init__(self, person: Visitor, slug: str, *, address: str = "") -> None:
        self.person, self.page, self.slug, self.name = person, person.page, slug, PROVIDERS[slug].name
        with build_opener(ProxyHandler({})).open(f"{person.stack.sandbox_url}/_sandbox/credentials") as answer:
            self.known = json.load(answer)[slug]
        self.address = address or f"{person.stack.sandbox_url}/{slug}"
        self.stands: dict[str, str] = {}
        self.page.goto(f"{person.desk}settings/connections/new/")
        person.clicks(f"Connect {self.name}")
        person.sees("Have these ready")

    @property
    def right(self) -> dict[str, str]:
        """What its provider handed out, by label."""
        declared = PROVIDERS[self.slug].Settings.declared()
        typed = {str(declared[name].label): as_pasted(text) for name, text in self.known.items() if name in declared}
        addresses = {str(each.label): self.address for each in declared.values() if each.kind == "address"}
        return {"Name": f"Cards {uuid.uuid4().hex[:6]}"} | addresses | typed

    def types(self, boxes: dict[str, str]) -> None:
        for label, text in boxes.items():
            # What was typed before keeps itself, which nobody is quick enough to overtake.
            expect(self.page.locator(".htmx-request")).to_have_count(0)
            box = self.page.get_by_label(label, exact=True)
            if not box.is_visible():  # a secret that was typed before, or a setting that is sensible as it is
                folded = self.page.locator("details.more").filter(has=box)
                folded.locator("> summary").click()
            box.fill(text)
            box.blur()  # it keeps itself now, and not when the next one was just unfolded
            self.stands[label] = text

    def tests(self, button: str = "Test the connection") -> None:
        with self.page.expect_navigation():
            self.person.clicks(button)

    def fails(self, case: Meets) -> None:
        """Sees the ticks in order, the one sentence and the one thing to do."""
        self.person.sees("Not connected yet", within=30)
        steps = self.page.locator(".trial-steps .outcome")
        outcomes = [each.get_attribute("class").split()[1].removeprefix("outcome-") for each in steps.all()]
        assert outcomes == ["done"] * case.passed + ["refused"] + ["waiting"] * (2 - case.passed)
        passed = (f"{self.name} answers, and our clocks agree.", f"{self.name} accepts our credentials.")
        assert steps.all_inner_texts()[: case.passed + 1] == [*passed[: case.passed], self._says(case.sentence)]
        assert self.page.locator(".advice").all_inner_texts() == [self._says(case.fix)]
        if case.said:
            assert self.page.locator("blockquote").inner_text() == case.said
        assert (self.page.get_by_role("button", name="Keep it, paused").count() == 1) is case.away

    def finds_all_that_was_typed(self) -> None:
        """Back on its page: every box as it was left, and of each secret how it ends."""
        self.person.clicks("Change what was typed", "link")
        self.person.sees("Have these ready")
        for label, text in self.stands.items():
            if label in SECRETS[self.slug]:
                line = self.page.locator(".secret").filter(has=self.page.get_by_label(label, exact=True))
                assert f"…{ending(text)}" in line.inner_text()
                assert text not in self.page.content()
            else:
                assert self.page.get_by_label(label, exact=True).input_value() == text, label

    def connects(self) -> None:
        self.person.sees("With this connection you can", within=30)
        assert self.page.locator(".result").inner_text() == "Connected"
        assert self.page.locator(".trial-steps .outcome-done").count() == 3
        assert self.person.complaints == []

    def _says(self, text: str) -> str:
        return text.format(self.name)


def walks_through(draft: Draft, cases: list[Meets], hindrance) -> None:
    """Meets each of them, mends what was typed, and connects at last on the page that said what was wrong."""
    for case in cases:
        mend = {label: draft.stands.get(label, "") for label in case.typed}
        with hindrance(case):
            draft.types(case.typed)
            draft.tests()
            draft.fails(case)
        draft.finds_all_that_was_typed()
        draft.types({label: text or DEFAULTS[draft.slug][label] for label, text in mend.items()})
    draft.person.finds_no_barrier()
    draft.tests()
    draft.connects()


DEFAULTS = {
    "paywizard": {CARD: "0" * 15, "Prepaid channel": "FACTOR4"},
    "cardinquiry": {CARD: "TILLSIDETEST"},
    "secuconnect": {CARD: "0" * 16},
}


@contextmanager
def nothing(case: Meets) -> Iterator[None]:
    yield


# ---- What was typed --------------------------------------------------------------------------------------------
CREDENTIALS = {
    "paywizard": [
        Meets(
            typed={"Client secret": NOBODYS},
            passed=1,
            sentence="{} finds our signature wrong.",
            fix="Copy client ID and client secret of the test environment again: both are part of the signature.",
            said="signature not accepted",
        ),
        Meets(
            typed={"Transaction token": NOBODYS},  # also one of the live environment, which is nobody's here
            passed=1,
            sentence="{} does not know our token.",
            fix="Copy them again, those of the test environment: live ones are not accepted there.",
        ),
        Meets(
            typed={"Transaction token": "DEMO0PAYWIZARD0TOKEN0LASTYEAR001"},
            passed=1,
            sentence="Our token at {} has expired.",
            fix="Ask {} for a new one and type it into the settings.",
        ),
        Meets(
            typed={CARD: "914639258868528"},
            passed=1,
            sentence="{} does not accept our credentials.",
            fix="Copy them again, those of the test environment: live ones are not accepted there.",
        ),
        Meets(
            typed={CARD: "914639258868529"},
            passed=1,
            sentence="{} knows our credentials and does not let them look cards up.",
            fix="Copy client ID and token of this merchant again, and if they are right, ask {} for access.",
            said="loyalty is not enabled for this merchant",
        ),
    ],
    "cardinquiry": [
        Meets(
            typed={"Server key": NOBODYS},
            passed=1,
            sentence="{} refuses us access.",
            fix="Copy the server key of the test environment again, and if it is right, ask for access to CardInquiry.",
            said="Access refused.",
        ),
    ],
    "secuconnect": [
        Meets(
            typed={"Client secret": NOBODYS},
            passed=1,
            sentence="{} does not accept our credentials.",
            fix="Copy them again, those of the test environment: live ones are not accepted there.",
            said="The client credentials are invalid",
        ),
        Meets(
            typed={CARD: "9276004424644028"},
            passed=2,
            sentence="{} does not know our token.",
            fix="Copy them again, those of the test environment: live ones are not accepted there.",
        ),
        Meets(
            typed={CARD: "9276004424644029"},
            passed=2,
            sentence="{} knows our credentials and does not let them look cards up.",
            fix="Ask {} to allow this account to look cards up.",
        ),
        Meets(
            typed={CARD: "9276004424644002"},
            passed=2,
            sentence="The card number for tests is that of a card that is not active.",
            fix="Type the number of another card.",
            said="locked",
        ),
        Meets(
            typed={CARD: "9276004424644025"},
            passed=2,
            sentence="{} asks us to slow down.",
            fix="Test again in 30 seconds.",
            away=True,
        ),
    ],
    "revenuemonster": [
        Meets(
            typed={"Client secret": NOBODYS},
            passed=1,
            sentence="{} does not accept our credentials.",
            fix="Copy them again, those of the test environment: live ones are not accepted there.",
            said="InvalidClient Client authentication failed",
        ),
        Meets(
            typed={"Private key": as_pasted(OTHER_KEY)},
            passed=1,
            sentence="{} finds our signature wrong.",
            fix="Enter the public half of your private key in your application there, that of the sandbox.",
            said="INVALID_REQUEST_SIGNATURE Request signature is invalid",
        ),
    ],
}


@pytest.mark.parametrize("slug", CREDENTIALS)
def test_wrong_credentials_are_told_apart(owner, slug):
    draft = Draft(owner, slug)
    draft.types(draft.right)

    walks_through(draft, CREDENTIALS[slug], nothing)


def test_the_key_for_browsers_is_known_while_it_is_pasted_and_never_kept(owner):
    draft = Draft(owner, "cardinquiry")
    draft.types(draft.right | {"Server key": draft.known["visible_key"]})
    owner.presses("Tab")
    owner.sees("This is the browser key. Ask your provider for the server key.")
    draft.tests()
    owner.sees("There is a problem")
    owner.finds_no_barrier()
    assert draft.page.get_by_label(ADDRESS).input_value() == draft.address

    draft.types({"Server key": draft.known["api_key"]})
    draft.tests()
    draft.connects()


# ---- What the provider does ------------------------------------------------------------------------------------
AGAIN = "Test again in a few minutes, and if it stays so, ask {}."
OF_THE_PROVIDER = [
    Meets(fault="timeout_before", sentence="{} did not answer in time.", fix=AGAIN, away=True),
    Meets(fault="cut", sentence="The connection broke before the answer of {} was complete.", fix=AGAIN, away=True),
    Meets(fault="error_after", sentence="{} has trouble of its own.", fix=AGAIN, away=True),
    Meets(
        fault="throttle",
        passed=1,
        sentence="{} asks us to slow down.",
        fix="Test again in 94 seconds.",
        away=True,
    ),
    Meets(
        fault="refuse",
        passed=1,
        sentence="{} refuses to answer a harmless question.",
        fix="Ask {} whether this account may look cards up, or type another card number for tests.",
    ),
    Meets(
        fault="redirect",
        sentence="This address sends us on to another one, which we never follow.",
        fix="Type the address of the API as {} gave it to you, not that of a web page.",
    ),
]
FOREIGN = {
    "paywizard": "Check the address: it is https://uat.paywizard.biz, and https://portal.paywizard.biz for real cards.",
    "cardinquiry": ("Check the address, the host name and what comes after it, and whether {} lets our server in."),
}
CHANGED = "Tell your administrator: what {} answers may have changed."
ODD = {
    "paywizard": [
        Meets(
            typed={"Prepaid channel": "OTHER"},
            passed=1,
            sentence="{} refuses to answer a harmless question.",
            fix="Ask {} whether this account may look cards up, or type another card number for tests.",
        ),
        Meets(
            typed={CARD: "914639258868509"},
            passed=1,
            sentence="{} answers with something we do not know.",
            fix=CHANGED,
            said="299 accepted for review",
        ),
        Meets(typed={CARD: "914639258868507"}, passed=1, sentence="The answer of {} cannot be read.", fix=CHANGED),
        Meets(
            typed={CARD: "914639258868510"},
            passed=2,
            sentence="{} answers about another card than the one we asked for.",
            fix=CHANGED,
        ),
    ],
    "cardinquiry": [
        Meets(fault="garbage", passed=1, sentence="The answer of {} cannot be read.", fix=CHANGED),
        Meets(
            answer=(401, b'{"error": {"Code": 2401, "Message": "Key not accepted."}}'),
            passed=1,
            sentence="{} does not accept our key.",
            fix="Copy the server key of the test environment again: a live one is not accepted there.",
            said="Key not accepted.",
        ),
        Meets(
            answer=(200, b'{"data": {"Cards": [{"Status": "suspended"}]}}'),
            passed=2,
            sentence="{} answers with something we do not know.",
            fix=CHANGED,
            said="suspended",
        ),
    ],
}
SECONDS = {"throttle": 94, "timeout_before": 30, "clock": -94}


@contextmanager
def armed(person: Visitor, slug: str, kind: str, *, seconds: float | None = None) -> Iterator[None]:
    """While it lasts, every look-up at the provider meets this fault; afterwards none does."""
    faults = f"{person.stack.sandbox_url}/_sandbox/faults"
    path = {"paywizard": "/ovstrade/openLoyaltyPay/giftInquiry", "cardinquiry": "/CardInquiry/"}.get(slug, "/")
    wanted = {"provider": slug, "kind": kind, "path": path, "probability": 1}
    seconds = SECONDS.get(kind) if seconds is None else seconds
    wanted |= {} if seconds is None else {"seconds": seconds}
    number = json.loads(_ask(Request(faults, method="POST", data=json.dumps(wanted).encode())))["id"]
    try:
        yield
    finally:
        _ask(Request(f"{faults}/{number}", method="DELETE"))


def _ask(request: Request) -> bytes:
    with build_opener(ProxyHandler({})).open(request) as answer:
        return answer.read()


@pytest.mark.parametrize("slug", ODD)
def test_a_provider_that_fails_is_quoted_and_asked_again(owner, elsewhere, slug):
    draft = Draft(owner, slug, address=f"{elsewhere.encrypted}/{slug}")
    draft.types(draft.right)
    foreign = Meets(fault="foreign", sentence="Something answers at this address, and it is not {}.", fix=FOREIGN[slug])

    @contextmanager
    def hindrance(case: Meets) -> Iterator[None]:
        elsewhere.answers(*case.answer)
        try:
            with armed(owner, slug, case.fault) if case.fault else nothing(case):
                yield
        finally:
            elsewhere.answers()

    walks_through(draft, [*OF_THE_PROVIDER, foreign, *ODD[slug]], hindrance)


@pytest.mark.parametrize("slug", SECRETS)
def test_a_clock_that_is_off_is_said_in_seconds_and_does_no_harm(owner, slug):
    draft = Draft(owner, slug)
    draft.types(draft.right)
    with armed(owner, slug, "clock"):
        draft.tests()
        draft.connects()

    first = draft.page.locator(".trial-steps .outcome").first.inner_text()
    assert first in [
        f"{draft.name} answers, but our clock and theirs differ by {off} seconds." for off in range(92, 97)
    ]


def test_a_clock_that_is_too_far_off_for_a_signature_is_said_and_nothing_is_connected(owner):
    draft = Draft(owner, "revenuemonster")
    draft.types(draft.right)
    with armed(owner, "revenuemonster", "clock", seconds=-150):
        draft.tests()
        owner.sees("Not connected yet", within=30)
    told = draft.page.locator(".trial-steps .outcome").first.inner_text()
    assert told in [f"Our clock and theirs differ by {off} seconds." for off in range(148, 153)]
    owner.sees("Revenue Monster refuses what is signed at a wrong time.")
    owner.finds_no_barrier()

    draft.finds_all_that_was_typed()
    draft.tests()
    draft.connects()


# ---- Where it leads --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", ON_THE_WAY)
def test_an_address_that_leads_elsewhere_is_told_and_its_secrets_are_typed_anew(owner, elsewhere, slug):
    draft = Draft(owner, slug)
    right = draft.right
    secrets = {label: right[label] for label in SECRETS[slug]}
    draft.types(right)
    for wrong, sentence in {
        "https://10.0.0.8": "Type a host name, not a numeric address.",
        "https://2130706433": "Type a host name, not a numeric address.",
        "http://cards.example.com": "The address must begin with https:// and use the usual port.",
        "https://intranet": "Type a full host name such as cards.example.com.",
    }.items():
        draft.types({ADDRESS: wrong} | secrets)
        draft.tests()
        owner.sees("There is a problem")
        assert draft.page.locator("#id_set_base_url_said").inner_text().removeprefix("Error:").strip() == sentence
        assert draft.page.get_by_label(ADDRESS).input_value() == wrong
    owner.finds_no_barrier()

    away = [
        Meets(
            typed={ADDRESS: elsewhere.refusing},
            sentence="The host is there and refuses the connection.",
            fix="Check the address, and if it is right, ask {} whether its service is running.",
            away=True,
        ),
        Meets(
            typed={ADDRESS: elsewhere.full},
            sentence="The host gives no answer when we try to connect.",
            fix="Check the address, and if it is right, ask {} whether it must let our server in first.",
            away=True,
        ),
        Meets(
            typed={ADDRESS: f"{draft.address}/v9"},
            sentence="Something answers at this address, and it is not {}.",
            fix=FOREIGN[slug],
        ),
    ]
    for case in away:
        draft.types(case.typed | secrets)
        draft.tests()
        draft.fails(case)
        draft.finds_all_that_was_typed()
    draft.types({ADDRESS: elsewhere.encrypted})  # another host, and the secrets are not for it
    owner.presses("Tab")
    owner.sees("The address leads to another host now. Type this secret again for it.")
    draft.tests()
    owner.sees("There is a problem")

    draft.types({ADDRESS: draft.address} | secrets)
    draft.tests()
    draft.connects()


CHECK = "Check the address, and if it is right, "
CERTIFICATES = [
    Meets(
        certificate="expired",
        sentence="The certificate of this host has expired.",
        fix="Tell {} to renew it.",
    ),
    Meets(
        certificate="not yet",
        sentence="The certificate of this host is not valid yet.",
        fix="Ask your administrator whether our clock is right, and if it is, tell {}.",
    ),
    Meets(
        certificate="another host",
        sentence="The certificate is for another host than the one in the address.",
        fix="Check the host name in the address for typing errors.",
    ),
    Meets(
        certificate="unknown issuer",
        sentence="The certificate of this host was issued by nobody we know.",
        fix=CHECK + "ask {} for one with a valid certificate.",
    ),
    Meets(
        certificate="too old",
        sentence="This host encrypts only in an old way that is no longer safe.",
        fix="Ask {} for an address with TLS 1.2 or newer.",
    ),
    Meets(
        certificate="none",
        sentence="This host does not answer with an encrypted connection.",
        fix="Check the address, the host name and the port.",
        away=True,
    ),
]


@pytest.mark.parametrize("slug", ON_THE_WAY)
def test_what_is_wrong_with_a_certificate_is_told_and_mended_by_who_has_it(owner, elsewhere, slug):
    draft = Draft(owner, slug, address=f"{elsewhere.encrypted}/{slug}")
    draft.types(draft.right)

    @contextmanager
    def hindrance(case: Meets) -> Iterator[None]:
        elsewhere.shows(elsewhere.wrong[case.certificate])
        try:
            yield
        finally:
            elsewhere.shows(elsewhere.good)

    walks_through(draft, CERTIFICATES, hindrance)


# ---- For which cards -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", SECRETS)
def test_live_is_never_connected_to_a_test_environment(owner, slug):
    draft = Draft(owner, slug)
    with draft.page.expect_navigation():
        draft.page.get_by_role("radio", name="live").check()
    draft.types(draft.right | {"The name of your shop": "kiwi & co"})
    draft.tests()
    draft.fails(
        Meets(
            sentence="This connection is for real cards, and its address is that of a test environment.",
            fix="Type the live address, or make it a sandbox connection.",
        )
    )
    del draft.stands["The name of your shop"]  # asked for once
    draft.finds_all_that_was_typed()

    with draft.page.expect_navigation():
        draft.page.get_by_role("radio", name="sandbox").check()
    draft.tests()
    draft.connects()


def test_of_two_addresses_neither_may_be_that_of_real_points(owner):
    draft = Draft(owner, "revenuemonster")
    draft.types(draft.right)
    for label, live in {
        ADDRESS: "https://open.revenuemonster.my",
        "Address of the token service": "https://oauth.revenuemonster.my",
    }.items():
        draft.types(draft.right | {label: live})
        draft.tests()
        owner.sees("This is the address for real cards. Choose the test one, or live above.")
        assert draft.page.get_by_label(label, exact=True).input_value() == live
    owner.finds_no_barrier()

    draft.types(draft.right)
    draft.tests()
    draft.connects()


def test_practice_is_never_connected_to_real_cards(owner):
    draft = Draft(owner, "paywizard")
    draft.types(draft.right | {ADDRESS: "https://portal.paywizard.biz"})
    draft.tests()
    owner.sees("This is the address for real cards. Choose the test one, or live above.")
    draft.types({ADDRESS: "https://portal.paywizard.biz/api"})
    draft.tests()
    draft.fails(
        Meets(
            sentence="This connection is for practice, and its address is that of real cards.",
            fix="Type the address of the test environment, or make it a live connection.",
        )
    )
    draft.finds_all_that_was_typed()

    draft.types(draft.right)
    draft.tests()
    draft.connects()
