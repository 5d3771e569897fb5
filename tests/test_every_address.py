"""Every address of the site, asked by everybody: members of each role, of another merchant, of none, an
administrator, and somebody signed out. What it must know of an address stands in tests/addresses.py."""

import uuid

from django.utils.html import escape

from portal.merchants.roles import Permission, Role, may, who_can
from tests.addresses import ADMINISTRATORS, ELSEWHERE, EVERYBODY, POSTING, PROVED, SAMPLES, Address, Shop
from tests.crawling import ADDRESSES, METHODS, STAFF, Answer, Visitor, accepted, essence, forms_on, told_apart

OPEN = {200, 302, 303}
# A form without anything in it is refused politely.
ANSWERED = {"GET": OPEN, "HEAD": OPEN, "POST": OPEN | {409, 422}}


# ---- The table of samples is complete -------------------------------------------------------------------------
def test_every_address_has_a_name_and_what_the_crawler_must_know_of_it():
    wanting = [each.wanting() for each in ADDRESSES if each.wanting()]

    assert not wanting, "\n" + "\n".join(wanting)


def test_the_table_of_samples_names_no_address_that_is_gone():
    names = {each.name for each in ADDRESSES}

    assert (set(SAMPLES) | set(POSTING) | set(ELSEWHERE)) - names == set()


# ---- Who may, who may not, and what if it is not there --------------------------------------------------------
def test_every_role_gets_from_every_address_what_the_permission_table_says(staff, jung_shop, findings):
    for address in STAFF:
        path = address.of(jung_shop)
        methods = accepted(staff[Role.OWNER], path)
        findings.check(bool(methods), f"{path} takes none of {METHODS}.")
        findings.check(("GET" in methods) == ("HEAD" in methods), f"{path} takes only one of GET and HEAD.")
        for role, visitor in staff.items():
            # HEAD is GET without a body: it is enough to see that for who may all and for who may least.
            for method in METHODS if role in (Role.OWNER, Role.MARKETING) else ("GET", "POST"):
                answer = visitor.asks(method, path)
                findings.check(*as_the_table_says(address, role, method, answer, taken=method in methods))
    findings.none()


def as_the_table_says(address: Address, role: Role, method: str, answer: Answer, *, taken: bool) -> tuple[bool, str]:
    """Whether it is what this role should get, and a sentence in case it is not."""
    asked = f"{method} {answer.path} as {role.label}"
    wanted: list[Permission] = [address.permission] if address.permission else []
    if method == "POST" and address.name in POSTING:
        wanted.append(POSTING[address.name])
    lacking = [permission for permission in wanted if not may(role, permission)]
    if not taken:
        return answer.status in {403, 405}, f"{asked}: {answer.status} instead of 405."
    if not lacking:
        hint = (
            f'; if a post needs more, add "{address.name}" to POSTING in tests/addresses.py' if method == "POST" else ""
        )
        return answer.status in ANSWERED[method], f"{asked}: {answer.status}, and the table allows it{hint}."
    told = method == "HEAD" or escape(who_can(lacking[0])) in answer.text
    return answer.status == 403 and told, f"{asked}: {answer.status} instead of 403 with who can."


def test_for_strangers_every_address_of_a_merchant_looks_like_one_that_never_was(strangers, staff, jung_shop, findings):
    for address in STAFF:
        path, nowhere = address.of(jung_shop), address.of(jung_shop, slug="no-such-merchant")
        methods = accepted(staff[Role.OWNER], path)
        for visitor in strangers:
            for method in methods:
                theirs = essence(visitor.asks(method, path))
                findings.check(
                    theirs == essence(visitor.asks(method, nowhere)) and theirs[0] == 404,
                    f"{method} {path} as {visitor.who}: {theirs[0]}, or told apart from {nowhere}.",
                )
    findings.none()


def test_another_merchants_things_look_like_things_that_never_were(staff, jung_shop, kauri_shop, findings):
    owner = staff[Role.OWNER]
    for address in (each for each in STAFF if each.parts):
        foreign, missing = address.sample(kauri_shop), address.missing()
        methods = accepted(owner, address.of(jung_shop))
        for method in methods:
            answers = [
                essence(owner.asks(method, address.of(jung_shop, **parts)), *map(str, parts.values()))
                for parts in (foreign, missing)
            ]
            findings.check(
                answers[0] == answers[1] and answers[0][0] == 404,
                f"{method} {address.route} with a thing of Kauri's and with one that never was: both must be the"
                f" same 404, not {told_apart(*answers)}.",
            )
            findings.check("Kauri" not in answers[0][1], f"{method} {address.route} shows Kauri's things to Jung.")
    findings.none()


def test_somebody_signed_out_is_sent_to_sign_in_and_back(outside, staff, jung_shop, findings):
    for address in ADDRESSES:
        if ELSEWHERE.get(address.name) in (EVERYBODY, PROVED):
            continue
        path = address.of(jung_shop)
        for method in accepted(staff[Role.OWNER], path):
            answer = outside.asks(method, path)
            findings.check(
                answer.status == 302 and answer.location == f"/accounts/login/?next={path}",
                f"{method} {path} signed out: {answer.status} {answer.location}",
            )
    findings.none()


def test_addresses_below_no_merchant_answer_those_they_are_for(outside, strangers, staff, jung_shop, findings):
    for address in (each for each in ADDRESSES if not each.below_merchant):
        path = address.of(jung_shop)
        for_all = ELSEWHERE.get(address.name) in (EVERYBODY, PROVED)
        visitors = [*strangers, *staff.values()] + ([outside] if for_all else [])
        for visitor in visitors:
            administers = ELSEWHERE.get(address.name) == ADMINISTRATORS and visitor.who == "an administrator"
            for method in METHODS:
                answer = visitor.asks(method, path)
                wanted = ANSWERED[method] | {405}
                if (ELSEWHERE.get(address.name) == ADMINISTRATORS and not administers) or path.endswith("/nothing/"):
                    wanted = {404}
                if ELSEWHERE.get(address.name) == PROVED:
                    wanted = {403}
                findings.check(
                    answer.status in wanted and not to_sign_in(answer, visitor),
                    f"{method} {path} as {visitor.who}: {answer.status} {answer.location}",
                )
                findings.check(
                    "Kauri" not in answer.text or visitor.who == "owner of Kauri" or administers,
                    f"{method} {path} shows Kauri's things to {visitor.who}.",
                )
    findings.none()


def to_sign_in(answer: Answer, visitor: Visitor) -> bool:
    return visitor.signed_in and answer.location.startswith("/accounts/login/?next")


# ---- Keys inside forms ----------------------------------------------------------------------------------------
def test_another_merchants_key_inside_a_form_is_as_unknown_as_one_that_never_was(
    staff, jung_shop, kauri_shop, findings
):
    owner, seen = staff[Role.OWNER], dict[str, set[tuple[str, str]]]()
    twins = twin_keys(jung_shop, kauri_shop)
    for address in STAFF:
        path = address.of(jung_shop)
        for action, typed, chosen in forms_on(owner, path):
            for name, value in {pair for pair in chosen if pair[1] in twins} - seen.get(action, set()):
                seen.setdefault(action, set()).add((name, value))
                others = [pair for pair in chosen if pair[0] != name]
                answers = []
                for key in (twins[value], str(uuid.uuid4())):
                    answer = owner.asks("POST", action, dict([*others, *typed, (name, key)]))
                    answers.append(essence(answer, key))
                findings.check(
                    answers[0] == answers[1] and answers[0][0] in {400, 404, 422},
                    f"POST {action} with {name} of Kauri's and with one that never was: both must be refused alike,"
                    f" not {told_apart(*answers)}.",
                )
                findings.check("Kauri" not in answers[0][1], f"POST {action} with {name} shows Kauri's things.")
    assert len(seen) >= 3, "no form with keys was found any more"
    findings.none()


def twin_keys(own: Shop, foreign: Shop) -> dict[str, str]:
    """What names each of our things, and what names the same thing of the other merchant."""
    pairs = [(sample(own), sample(foreign)) for sample in SAMPLES.values()]
    pairs.append((own.connection.key, foreign.connection.key))
    return {str(mine): str(theirs) for mine, theirs in pairs if not isinstance(mine, dict)}
