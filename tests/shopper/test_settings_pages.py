"""What a merchant decides about its page, what it prints, and what it sees of tries."""

import io
import uuid

import pytest
import segno
import zxingcpp
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.urls import reverse
from PIL import Image

from portal.connectors import PROVIDERS
from portal.connectors.fields import Refused
from portal.desk import alerts
from portal.desk.models import Alert
from portal.ledger.models import Pulse
from portal.merchants.models import AuditEntry
from portal.shopper import colours, deciding, risk
from portal.shopper.models import BalancePage, Outcome, Try, ending_of
from tests.conftest import make_person
from tests.shopper.conftest import CARD, PIN, many

HOME = "/m/baeckerei-jung/settings/balance-page/"
DECIDED = {
    "is_open": "on",
    "contact": "Call 030 7654321.",
    "colour": "7A1F3D",
    "last_digits": "5",
    "number_length": "16",
    "cards_in_use": "20000",
    "pin_length": "4",
    "finds_a_year": "1",
}


@pytest.fixture
def olivias(signed_in, olivia, page):
    return signed_in(olivia)


def test_what_is_decided_holds_on_the_page_and_stands_in_the_trail(olivias):
    answer = olivias.post(HOME, DECIDED)

    assert answer.status_code == 302
    shown = olivias.get("/b/baeckerei-jung/")
    assert "Call 030 7654321." in shown.text
    assert "its last 5 characters" in shown.text
    line = AuditEntry.objects.filter(verb="balance page changed").latest("id")
    assert line.detail["changes"]["last_digits"] == [0, 5]
    assert line.detail["changes"]["colour"] == ["", "#7a1f3d"]


def test_the_risk_of_each_way_to_ask_stands_beside_it(olivias):
    olivias.post(HOME, DECIDED)
    text = olivias.get(HOME).text

    assert "One wrong try in 50,000 finds a card. With 136 wrong tries a day" in text
    assert "one in 368 days" in text  # the last five
    assert "More than you find bearable." not in text
    assert "One wrong try in 10,000 finds a card. With 27 wrong tries a day" in text  # the last four


def test_what_cannot_be_borne_is_said(olivias):
    olivias.post(HOME, DECIDED | {"pin_length": "3"})

    assert "That is more than you find bearable" in olivias.get(HOME).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"colour": "#ffee00"}, "White text cannot be read on this colour."),
        ({"colour": "red"}, "Type a colour such as #0b5d5b."),
        ({"last_digits": "4"}, "One of your connections wants at least 5 characters."),
        ({"number_length": "3"}, "greater than or equal to 4"),
    ],
)
def test_what_will_not_do_is_said_beside_its_field(olivias, typed, said):
    answer = olivias.post(HOME, DECIDED | typed)

    assert answer.status_code == 422
    assert said in answer.text


@pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"0" * 50_000])
def test_only_a_small_picture_is_a_logo(olivias, content):
    answer = olivias.post(HOME, DECIDED | {"logo": SimpleUploadedFile("logo.png", content)})

    assert answer.status_code == 422
    assert not BalancePage.objects.get().logo


def test_a_logo_comes_and_goes(olivias):
    png = b"\x89PNG\r\n\x1a\n0"
    olivias.post(HOME, DECIDED | {"logo": SimpleUploadedFile("logo.png", png)})
    assert olivias.get("/b/baeckerei-jung/logo").content == png

    olivias.post(HOME, DECIDED | {"without_logo": "on"})

    assert "<img" not in olivias.get("/b/baeckerei-jung/").text


@pytest.mark.parametrize("colour", ["#0b5d5b", "#7a1f3d", "#000000", "#1a3d8f"])
def test_a_colour_can_be_read_in_the_light_and_in_the_dark(colour):
    sheet = colours.stylesheet(colour)
    light, dark = sheet.partition("--accent: light-dark(")[2].split(")")[0].split(", ")

    assert colours.contrast(light, "#ffffff") >= 4.5
    assert colours.contrast(dark, colours.DARK_PAPER) >= 4.5


def test_a_colour_that_is_none_changes_nothing():
    assert ":root" not in colours.stylesheet("#ffee00")
    assert ":root" not in colours.stylesheet("red; } body { display: none")


def test_tries_are_listed_as_fingerprints(olivias, somebody):
    made = somebody("203.0.113.99").tries("6280390000012345", "4711")
    text = olivias.get(f"{HOME}tries/").text

    assert made.reference in text
    assert "Wrong number or PIN" in text
    for planted in ("12345", "4711", "203.0.113"):
        assert planted not in text.partition("<main")[2]


def test_a_silent_card_can_be_tried_again_after_one_press(olivias, somebody):
    for address in many(5):
        last = somebody(address).tries(CARD, "9999")
    assert somebody("21.0.0.1").tries(CARD, PIN).outcome == Outcome.SILENCED

    answer = olivias.post(reverse("forgive_tries", args=["baeckerei-jung", last.key]))

    assert answer["Location"] == f"{HOME}tries/"
    assert somebody("21.0.1.1").tries(CARD, PIN).outcome == Outcome.FOUND


def test_a_longer_list_goes_on(olivias, somebody, settings):
    settings.SHOPPER_PIN_CARDS = 1000
    for address in many(52):
        last = somebody(address).asks()

    first = olivias.get(f"{HOME}tries/").text
    older = olivias.get(f"{HOME}tries/?before={Try.objects.order_by('-id')[49].pk}").text

    assert f"{HOME}tries/?before=" in first
    assert last.reference in first
    assert last.reference not in older
    assert older.count("<tr>") == 3


def test_a_try_is_found_by_the_reference_that_the_shopper_tells(olivias, somebody, ada, signed_in, arrange, jung):
    told, other = (somebody(address).tries(CARD, "9999") for address in many(2))
    spoken = told.reference.lower().replace("-", " ").replace("0", "o")

    listed = olivias.get(f"{HOME}tries/", {"reference": spoken}).text
    assert told.reference in listed
    assert other.reference not in listed
    assert "No try of the last 30 days" in olivias.get(f"{HOME}tries/?reference=0000-0000").text
    searched = olivias.post("/m/baeckerei-jung/search/", {"q": told.reference}).text
    assert f"tries/?reference={told.reference}" in searched
    assert "Wrong number or PIN" in searched
    on_call = ada.post("/on-call/find/", {"reference": told.reference}).text
    assert "Bäckerei Jung" in on_call
    assert other.reference not in on_call
    with arrange():
        cashier = signed_in(make_person("Carl", (jung, "cashier")))
    assert "Wrong number" not in cashier.post("/m/baeckerei-jung/search/", {"q": told.reference}).text


def test_a_reference_names_one_key_and_rubbish_names_none():
    for key in (uuid.uuid4() for _ in range(100)):
        assert ending_of(Try(key=key).reference) == key.hex[-10:]
    assert [ending_of(rubbish) for rubbish in ("", "7F3K", "7F3K-20QU", "7F3K-20QXX", "%%%%-%%%%")] == [""] * 5


def test_a_reference_is_looked_for_in_its_index(somebody, jung):
    made = somebody().tries()
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Try.objects.filter(merchant=jung, ending=ending_of(made.reference)).explain()
        cursor.execute("SET LOCAL enable_seqscan = on")

    assert "try_by_reference" in plan
    assert "ending" in plan.partition("Index Cond:")[2].splitlines()[0]


def test_those_on_call_are_told_when_wrong_tries_close_a_page_and_when_it_is_open_again(somebody, owner, settings, db):
    settings.ALERT_CALM_SECONDS = 0
    settings.SHOPPER_PIN_CARDS = 1000
    deciding.change(owner, {"pin_length": 3})  # 20 tries a day

    def guess(start: int, count: int) -> None:
        for number, address in enumerate(many(count, start)):
            shopper = somebody(address)
            shopper.page.refresh_from_db()
            shopper.tries(f"62803900000{70000 + start + number}", "9999", challenge=shopper.challenge(16))

    guess(0, 19)
    look_round()
    assert not Alert.objects.filter(kind="page-closed").exists()
    guess(19, 1)
    look_round()
    alert = Alert.objects.get(kind="page-closed", resolved_at=None)
    assert alert.told == {"name": "Bäckerei Jung", "count": 20, "budget": 20}

    deciding.open_again(owner)
    look_round()

    assert not Alert.objects.filter(kind="page-closed", resolved_at=None).exists()


def look_round() -> None:
    """Somebody looks, as if a while had passed since anybody did."""
    Pulse.objects.filter(name="look").delete()
    alerts.look_round()


@pytest.mark.parametrize("paper", ["a4", "a6"])
def test_the_posters_code_leads_to_the_page(olivias, paper):
    """The page draws what a reader reads as its address."""
    drawn = segno.make_qr("http://localhost:8000/b/baeckerei-jung/", error="m", boost_error=False)
    picture = io.BytesIO()
    drawn.save(picture, kind="png", scale=4, border=4)

    text = olivias.get(f"{HOME}poster/?paper={paper}").text

    assert zxingcpp.read_barcode(Image.open(picture)).text == "http://localhost:8000/b/baeckerei-jung/"
    assert drawn.svg_inline(border=4, svgclass=None, lineclass=None, omitsize=True) in text
    assert f"poster-{paper}" in text


# ---- Snippets -----------------------------------------------------------------------------------------------------
def test_the_link_and_the_button_lead_to_the_page(olivias):
    text = olivias.get(f"{HOME}snippets/").text

    assert "&lt;a href=&quot;http://localhost:8000/b/baeckerei-jung/&quot;" in text
    assert "&lt;form action=&quot;http://localhost:8000/b/baeckerei-jung/&quot;" in text


def test_each_way_says_what_it_costs(olivias):
    link, _, key = olivias.get(f"{HOME}snippets/").text.partition('id="key-title"')

    assert "every limit here holds" in link
    assert "shoppers leave it for a page of ours" in link
    assert "Shoppers stay on your site" in key
    assert "with a key that everybody can read" in key
    assert "its limits, its list of tries and its one answer do not hold there" in key


def test_a_browser_key_makes_lines_that_ask_the_provider(olivias, sandbox):
    key = sandbox.credentials("cardinquiry")["visible_key"]
    answer = olivias.post(f"{HOME}snippets/", {"key": key})

    assert answer.status_code == 200
    assert "X-Api-Key" in answer.text
    assert key in answer.text


def test_a_server_key_is_refused_and_not_repeated(olivias, sandbox):
    key = sandbox.credentials("cardinquiry")["api_key"]
    answer = olivias.post(f"{HOME}snippets/", {"key": key})

    assert answer.status_code == 422
    assert "does not contain the words VisibleKey" in answer.text
    assert key not in answer.text


def test_a_browser_key_is_refused_as_the_server_key_of_a_connection(sandbox):
    key = sandbox.credentials("cardinquiry")["visible_key"]
    declared = PROVIDERS["cardinquiry"].Settings.declared()["api_key"]

    with pytest.raises(Refused, match="This is the browser key"):
        declared.clean(key)


def test_a_key_cannot_break_out_of_its_lines():
    lines = PROVIDERS["cardinquiry"].browser_snippet(
        {"base_url": "https://cards.example.com/OpenApi2"}, 'VisibleKey"</script><b>'
    )

    assert "</script><b>" not in lines
    assert lines.count("</script>") == 1


# ---- The day's wrong tries ------------------------------------------------------------------------------------------
def test_a_page_that_wrong_tries_closed_is_not_called_open(olivias, somebody, monkeypatch):
    monkeypatch.setattr(risk, "LEAST", 2)
    monkeypatch.setattr(risk, "MOST", 2)
    for address in many(2):
        shopper = somebody(address)
        shopper.tries(CARD, "9999", challenge=shopper.challenge(16))

    told = olivias.get(HOME).text

    assert '<span class="outcome outcome-refused">Closed: there were too many wrong tries.</span>' in told
    assert ">Open</span>" not in told


def test_wrong_tries_are_told_and_may_count_no_longer(olivias, somebody):
    for address in many(3):
        somebody(address).tries(CARD, "9999")
    assert "3 wrong tries in the last 24 hours." in olivias.get(HOME).text

    olivias.post(f"{HOME}open-again/")

    assert "0 wrong tries in the last 24 hours." in olivias.get(HOME).text
