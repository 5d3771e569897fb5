"""Everything Tillside is, running as `make run` runs it, and a real browser in front of it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from portal import services
from portal.running.stack import Stack
from tests import prepared
from tests.environment import VAR, free_port
from tests.journeys.elsewhere import Elsewhere

PASSWORD = "look-around-2026"
CHROMIUM_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def sandbox_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, sandbox_port: int) -> Iterator[Elsewhere]:
    """Servers that are no sandbox, for what is wrong with an address."""
    there = Elsewhere(tmp_path_factory.mktemp("elsewhere"), sandbox_port)
    yield there
    there.close()


@pytest.fixture(scope="session")
def stack(elsewhere: Elsewhere, sandbox_port: int) -> Iterator[Stack]:
    """Web, workers, beat, broker, database and sandbox with the demo's people, on ports of their own."""
    running = Stack(
        var=VAR.with_name(f"{VAR.name}-journeys"),
        port=free_port(),
        sandbox_port=sandbox_port,
        env={
            "SWEEP_SECONDS": "1",
            "PSEUDO_LANGUAGES": "1",
            "PROVIDER_ORIGINS_ALLOWED": elsewhere.origins,
            "SSL_CERT_FILE": elsewhere.ca_file,  # as OpenSSL is told of an issuer
            "CONNECTION_TESTS_AN_HOUR": "1000",  # a journey meets in a minute what people meet in a year
            # All shoppers of all journeys share one address.
            **dict.fromkeys(["SHOPPER_ADDRESS_MINUTE", "SHOPPER_ADDRESS_HOUR", "SHOPPER_ADDRESS_DAY"], "1000"),
            **dict.fromkeys(["SHOPPER_NETWORK_HOUR", "SHOPPER_PIN_CARDS"], "1000"),
            "SHOPPER_WORK": "128",  # all lanes and browsers share two cores
        },
    )
    prepared.lay_into(running.var)
    running.start()
    yield running
    running.hurry()
    running.erase()
    shutil.rmtree(running.var, ignore_errors=True)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing = services.Missing("chromium is not installed: apt-get install chromium")
        if os.environ.get("REQUIRE_ALL") == "1":
            raise missing
        pytest.skip(str(missing))
    running = playwright.chromium.launch(executable_path=found, args=CHROMIUM_SWITCHES)
    yield running
    running.close()


# Whether all has faded in: half transparent, words are too pale for anybody. What turns for ever does not count.
SETTLED = """
    document.getAnimations().every(
        (each) => each.effect.getComputedTiming().iterations === Infinity || each.playState === 'finished')
    && [...document.querySelectorAll('.reading')].every((each) => getComputedStyle(each).opacity === '1')
"""


class Visitor:
    """A person at a browser. Each method is one action; what the browser complains about is kept."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page, self.stack = page, stack
        self.actions = 0
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", lambda said: self._heard(said.type, said.text))

    def _heard(self, kind: str, text: str) -> None:
        # The browser also reports each answer of 4xx here; those are looked at by the journeys themselves. And htmx
        # says so when a page is left while a field keeps itself; of a request that failed it says something else, too.
        passing = ("Failed to load resource", "htmx:afterRequest", "htmx:sendAbort")
        if kind in ("error", "warning") and not any(each in text for each in passing):
            self.complaints.append(f"{kind}: {text}")

    def opens(self, path: str) -> None:
        self.actions += 1
        self.page.goto(self.stack.url + path)

    def types(self, label: str, text: str) -> None:
        self.actions += 1
        self.page.get_by_label(label, exact=True).fill(text)

    def presses(self, key: str) -> None:
        self.actions += 1
        self.page.keyboard.press(key)

    def clicks(self, name: str, role: str = "button") -> None:
        self.actions += 1
        self.page.get_by_role(role, name=name).click()

    def goes_to(self, place: str) -> None:
        """A place of the rail; on a phone some stand under *More*."""
        rail = self.page.get_by_role("navigation", name="Places")
        more = rail.locator("summary")
        if more.is_visible() and not rail.get_by_role("link", name=place).first.is_visible():
            self.actions += 1
            more.click()
        self.actions += 1
        rail.get_by_role("link", name=place).filter(visible=True).click()

    def sees(self, text: str, *, within: float = 30) -> None:
        self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=within * 1000)

    def signs_in(self, who: str) -> None:
        self.opens("/")
        self.types("Email", f"{who}@example.com")
        self.types("Password", PASSWORD)
        self.presses("Enter")
        self.page.wait_for_url("**/m/**")

    def looks_up(self, number: str, pin: str = "1234") -> None:
        self.types("Card number", number)
        self.presses("Enter")
        self.types("Password of the card", pin)
        self.presses("Enter")

    def finds_no_barrier(self) -> None:
        """axe, over the page once it stands: WCAG 2.2 A and AA."""
        while not self.page.evaluate(
            SETTLED
        ):  # the browser's own waiting is an eval, which our policy forbids the page
            self.page.wait_for_timeout(50)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = Axe().run(self.page, options={"runOnly": tags, "resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()

    def has_no_sideways_scroll(self) -> None:
        # Not window.innerWidth: a phone shows a page that is too wide at a smaller scale, and all of it.
        wide, seen = self.page.evaluate("(page => [page.scrollWidth, page.clientWidth])(document.documentElement)")
        assert wide <= seen, f"{self.page.url} is {wide} px wide on a screen of {seen}"


@pytest.fixture
def visitor(browser: Browser, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A new visitor; `@pytest.mark.parametrize("visitor", [{…}], indirect=True)` chooses the browser's traits."""
    failed = request.session.testsfailed
    traits = {"viewport": {"width": 1280, "height": 800}, **getattr(request, "param", {})}
    context = browser.new_context(**traits)
    person = Visitor(context.new_page(), stack)
    yield person
    if request.session.testsfailed > failed:
        sys.stdout.write(f"It ended at {person.page.url}:\n{person.page.inner_text('body')}\n")
    complaints = person.complaints
    if traits.get("java_script_enabled", True):  # axe is a script itself
        person.finds_no_barrier()  # wherever the journey ended
    context.close()
    assert complaints == [], "the browser complained"


def logs(stack: Stack) -> dict[str, str]:
    """What every process wrote, by file."""
    return {path.name: path.read_text(errors="replace") for path in Path(stack.var, "log").iterdir()}
