"""Rubbish in every address, query and form is refused politely, and nothing ever breaks.

What one door in front of all pages refuses is tried once at each; what each page judges by itself is dealt out, so that
every field meets some of it and every kind some field: everything everywhere would be a hundred thousand requests.
"""

from itertools import cycle
from urllib.parse import parse_qsl, quote

from portal.merchants.roles import Role
from tests.addresses import ELSEWHERE, PROVED, TAKES_ANYTHING, Address, Shop
from tests.crawling import ADDRESSES, Forms, Visitor, accepted, forms_of, tabs

UNREADABLE = [b"a\x00b", b"\xff\xfe", b"\xc0\xae\xc0\xae", b"\xed\xa0\x80"]
ODD = ["x" * 8000, "../../Sales", "a/b", "²", "٤٢", "９", "\u202e\u200b", "'\"<script>", "=1+1", "-1", "9" * 40, "NaN"]
ODD_IN_A_QUERY = ["9" * 40, "٤٢", "0001-01-01", "2026-02-30", "6f6ae01f-1bcd-4c5e-8f7c-6a3f3e2f8b11"]
FORM = "application/x-www-form-urlencoded"


def test_rubbish_in_an_address_is_refused_and_never_breaks(staff, outside, jung_shop, findings):
    unreadable, odd = cycle(UNREADABLE), cycle([b"%2e%2e%2f", *(text.encode() for text in ODD)])
    for address in ADDRESSES:
        for rubbish, visitor in (
            (next(unreadable), staff[Role.OWNER]),
            (next(unreadable), outside),
            *((next(odd), staff[Role.OWNER]) for _ in range(4)),
        ):
            wanted = {400} if rubbish in UNREADABLE else {400, 404, 405}
            wanted |= {302} if address.name in TAKES_ANYTHING and rubbish not in UNREADABLE else set()
            # The administration's keys are any text: Django sends on to the address with a slash, where it ends.
            wanted |= {301} if address.name.startswith("admin:") and rubbish not in UNREADABLE else set()
            for path in spoilt(address, jung_shop, rubbish):
                answer = visitor.asks("GET", "/", PATH_INFO=path.decode("latin-1"))
                findings.check(answer.status in wanted, f"GET {path!r} as {visitor.who}: {answer.status}")
    findings.none()


def spoilt(address: Address, shop: Shop, rubbish: bytes) -> list[bytes]:
    """The address with rubbish in the place of each of its parts, and behind it."""
    good = address.of(shop)
    parts = {shop.merchant.slug, *map(str, address.sample(shop).values())} if address.below_merchant else set()
    return [good.encode() + rubbish, *(good.encode().replace(part.encode(), rubbish, 1) for part in sorted(parts))]


def test_rubbish_in_a_query_never_breaks_a_page(staff, jung_shop, findings):
    owner, unreadable, odd = staff[Role.OWNER], cycle(UNREADABLE), cycle([*ODD, *ODD_IN_A_QUERY])
    for address in ADDRESSES:
        path = address.of(jung_shop)
        if "GET" not in accepted(owner, path):
            continue
        fine = {403} if ELSEWHERE.get(address.name) == PROVED else {200, 302, 303, 400, 404, 422}
        names = sorted(query_names(owner, path))
        query = f"{names[0]}={quote(next(unreadable))}"
        answer = owner.asks("GET", path, QUERY_STRING=query)
        findings.check(answer.status == 400, f"GET {path}?{query}: {answer.status}")
        together = [dict.fromkeys(names, text) for text in ODD_IN_A_QUERY]
        for asked_for in [*together, *({name: text} for name in names for text in (next(odd), ODD_IN_A_QUERY[0]))]:
            answer = owner.asks("GET", path, asked_for)
            findings.check(answer.status in fine, f"GET {path} with {asked_for}: {answer.status}")
    findings.none()


def query_names(visitor: Visitor, path: str) -> set[str]:
    """What the page's own links and search forms put into its query."""
    page = Forms(path)
    text = visitor.asks("GET", path).text
    page.feed(text)
    linked = {name for link in tabs(visitor, path) for name, _value in parse_qsl(link[1:], keep_blank_values=True)}
    return linked | page.asked_for | {"next", "page", "after"}


def test_rubbish_in_a_form_in_whichever_encoding_is_refused_and_never_breaks(staff, jung_shop, findings):
    owner, unreadable, odd = staff[Role.OWNER], cycle(UNREADABLE), cycle(ODD)
    for action, fields in sorted(forms_of(owner, jung_shop).items()):
        good = dict(fields)
        for text in (ODD[0], "9" * 40):
            owner.asks("POST", action, dict.fromkeys(good, text))
        for name in good:
            owner.asks("POST", action, good | {name: next(odd)})
        rubbish = quote(next(unreadable))
        for body in (f"{next(iter(good), 'x')}={rubbish}", f"{rubbish}=x"):
            answer = owner.asks("POST", action, body, content_type=FORM)
            findings.check(answer.status == 400, f"POST {action} with {body!r}: {answer.status}")
        for name in good:
            owner.asks("POST", action, **in_parts(name.encode(), next(unreadable)))
        owner.asks("POST", action, **in_parts(b"a\x00b", b"x"))
    findings.none()


def in_parts(name: bytes, value: bytes) -> dict[str, object]:
    body = b'--cut\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n--cut--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=cut"}


def test_too_many_fields_and_too_many_bytes_are_refused_everywhere_before_any_work(staff, outside, jung_shop, findings):
    owner = staff[Role.OWNER]
    reading = [each for each in ADDRESSES if each.name not in TAKES_ANYTHING]
    taking = [path for path in (each.of(jung_shop) for each in reading) if "POST" in accepted(owner, path)]
    for visitor in (owner, outside):
        visitor.browser.handler.enforce_csrf_checks = True  # whoever reads the form first: on the site it is this check
        for path in taking:
            for body in ("&".join(f"f{n}=x" for n in range(300)), f"f={'x' * 300_000}"):
                answer = visitor.asks("POST", path, body, content_type=FORM)
                findings.check(
                    answer.status in {400, 403, 413},
                    f"POST {path} with {len(body)} bytes as {visitor.who}: {answer.status}",
                )
    findings.none()
