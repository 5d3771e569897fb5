"""The audit trail: what it says, who sees it, how it is searched, and the file made of it."""

import ast
import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import DatabaseError, transaction
from django.db import connection as database
from django.db import connections as databases

from portal.desk import trail_words
from portal.ledger.models import Operation
from portal.merchants import audit, pauses, tenancy
from portal.merchants.models import AuditEntry, Member, Person
from portal.merchants.roles import Role
from tests.conftest import make_person

PORTAL = Path(__file__).resolve().parents[2] / "portal"
TRAIL = "/m/baeckerei-jung/settings/trail/"


@pytest.fixture
def owner(signed_in, olivia):
    return signed_in(olivia)


@pytest.fixture
def tells(arrange, jung):
    """Write a line of Jung's trail, perhaps one of another day."""

    def tell(verb: str = "connection resumed", subject: str = "PayWizard", *, at: datetime | None = None, **more):
        with arrange(), pytest.MonkeyPatch.context() as patched:
            if at is not None:
                patched.setattr("django.utils.timezone.now", lambda: at)
            return audit.record(verb, subject, merchant=jung, **more)

    return tell


def listed(page: str) -> list[str]:
    """The sentences on the page, from top to bottom."""
    return re.findall(r"<strong>([^<]*)</strong>", page)


# ---- What a line says -----------------------------------------------------------------------------------------
def test_a_line_says_who_did_what_to_which_thing_when_and_from_where(owner, tells, alice, rf):
    tells(person=alice, request=rf.get("/", REMOTE_ADDR="203.0.113.9"))

    page = owner.get(TRAIL).text

    assert listed(page) == ["Resumed a connection"]
    assert "PayWizard" in page
    assert "Alice" in page
    assert "203.0.113.9" in page
    assert "Times in Europe/Berlin" in page


def test_a_change_is_shown_as_what_it_was_and_what_it_is(owner, tells, alice):
    tells("role changed", "Ben", person=alice, changes={"role": ("cashier", "manager"), "store": ("Mitte", "Mitte")})

    page = re.sub(r"<[^>]*>", "", owner.get(TRAIL).text)

    assert "Role: Cashier →is now Manager" in page
    assert "Mitte" not in page, "what stayed the same is no change"


def test_a_change_told_as_before_and_after_is_shown_the_same_way(owner, tells):
    tells("role changed", "Ben", before="cashier", after=None)

    assert "Cashier →is now –" in re.sub(r"<[^>]*>", "", owner.get(TRAIL).text)


def test_what_the_machine_did_is_said_to_be_tillsides(owner, tells, connection):
    with tenancy.merchant(connection.merchant_id):
        pauses.because_refused(connection, "key_refused")

    page = owner.get(TRAIL).text

    assert listed(page) == ["Paused a connection"]
    assert "the provider does not accept its key." in page
    assert "Tillside</span></td>" in page


def test_a_line_leads_to_its_operation(signed_in, jung_shop):
    page = signed_in(jung_shop.owner.person).get("/m/baeckerei-jung/settings/trail/", {"kind": "money"}).text

    assert f'href="/m/baeckerei-jung/operations/{jung_shop.operation.key}/"' in page


def test_the_request_that_did_it_can_be_found_in_the_logs(owner, connection, arrange):
    with arrange():
        pauses.because_refused(connection, "key_refused")
    answer = owner.post(f"/m/baeckerei-jung/settings/connections/{connection.key}/resume/")

    assert answer["X-Request-ID"] in owner.get(TRAIL).text


def test_a_verb_without_words_is_shown_as_it_was_written(owner, tells):
    tells("moon landed", "the Sea of Tranquillity")

    assert listed(owner.get(TRAIL).text) == ["moon landed"]


def test_what_somebody_typed_is_text_and_nothing_else(owner, tells):
    tells(subject="<img src=x onerror=alert(1)>", reason="<script>")

    page = owner.get(TRAIL).text

    assert "<img src=x" not in page
    assert "<script>" not in page


# ---- Who may ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_owners_managers_and_accountants_see_the_trail_and_its_link(role, signed_in, jung, arrange, tells):
    tells()
    with arrange():
        client = signed_in(make_person("Somebody", (jung, role)))
    allowed = role in {Role.OWNER, Role.MANAGER, Role.ACCOUNTANT}

    assert (client.get(TRAIL).status_code, client.post(f"{TRAIL}export/").status_code) == (
        (200, 200) if allowed else (403, 403)
    )
    assert (TRAIL in client.get("/m/baeckerei-jung/settings/").text) == allowed


def test_nothing_of_another_merchant_is_on_the_page_or_in_the_file(owner, tells, kauri, ben, arrange):
    tells()
    with arrange():
        audit.record("connection resumed", "Kauri's own", merchant=kauri, person=ben)
        audit.record("address refused", "merchant kauri", merchant=None, person=ben)

    for text in (owner.get(TRAIL).text, owner.post(f"{TRAIL}export/").getvalue().decode()):
        assert "Kauri" not in text
        assert "ben@example.com" not in text
        assert ">Ben<" not in text


# ---- Searching ------------------------------------------------------------------------------------------------
@pytest.fixture
def history(tells, alice, olivia) -> None:
    """Three days of doings; each is told in Berlin's winter, an hour before UTC's."""
    tells("operation asked", "a" * 32, person=alice, at=datetime(2026, 11, 18, 12, tzinfo=UTC))
    tells("role changed", "Ben", person=olivia, at=datetime(2026, 11, 18, 23, 30, tzinfo=UTC))  # the 19th in Berlin
    tells("connection paused", "PayWizard", at=datetime(2026, 11, 20, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["Paused a connection", "Gave somebody another role", "Asked for an operation"]),
        ({"who": "alice"}, ["Asked for an operation"]),
        ({"who": "tillside"}, ["Paused a connection"]),
        ({"kind": "people"}, ["Gave somebody another role"]),
        ({"kind": "mail"}, []),
        ({"about": "PayWizard"}, ["Paused a connection"]),
        ({"about": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"}, ["Asked for an operation"]),
        ({"about": "PayWiz%"}, []),
        ({"since": "2026-11-19"}, ["Paused a connection", "Gave somebody another role"]),
        ({"until": "2026-11-19"}, ["Gave somebody another role", "Asked for an operation"]),
        ({"since": "2026-11-19", "until": "2026-11-19"}, ["Gave somebody another role"]),
        ({"who": "olivia", "kind": "money"}, []),
    ],
)
def test_lines_are_found_by_person_kind_thing_and_day_in_the_merchants_zone(query, found, history, owner):
    if name := query.get("who"):
        query["who"] = str(
            Person.objects.filter(email=f"{name}@example.com").values_list("pk", flat=True).first() or name
        )

    page = owner.get(TRAIL, query).text

    assert listed(page) == found
    assert ("Nothing of this kind was done." in page) == (not found)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"since": "2026-02-30"}, "Type a day such as 2026-11-20."),
        ({"since": "2026-11-20", "until": "2026-11-19"}, "This is before the first day."),
        ({"who": "999999999"}, "Nobody of that kind did anything here."),
        ({"kind": "weather"}, "Choose one of the kinds listed."),
        ({"about": "x" * 201}, "at most 200 characters"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_next_to_its_field(query, sentence, owner, history):
    answer = owner.get(TRAIL, query)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert all(str(value) in answer.text for name, value in query.items() if name in ("since", "until", "about"))


def test_somebody_of_another_merchant_is_nobody_here(owner, history, ben):
    assert owner.get(TRAIL, {"who": str(ben.pk)}).status_code == 422


def test_a_persons_page_leads_to_what_they_did_even_where_that_is_nothing_yet(owner, history, jung, arrange):
    with arrange():
        nina = make_person("Nina", (jung, "cashier"))
        pages = [
            owner.get(f"/m/baeckerei-jung/settings/people/{m.key}/").text for m in Member.objects.filter(merchant=jung)
        ]

    links = {link for page in pages for link in re.findall(rf'href="({TRAIL}\?who=\d+)"', page)}

    assert f"{TRAIL}?who={nina.pk}" in links
    assert {owner.get(link).status_code for link in links} == {200}
    assert "Nothing of this kind was done." in owner.get(f"{TRAIL}?who={nina.pk}").text


def test_somebody_who_left_can_still_be_asked_for(owner, history, alice, arrange):
    with arrange():
        Member.objects.filter(person=alice).delete()

    assert listed(owner.get(TRAIL, {"who": str(alice.pk)}).text) == ["Asked for an operation"]


def test_pages_follow_each_other_without_a_gap_even_where_moments_are_the_same(owner, tells):
    for number in range(120):
        tells(subject=f"number {number}", at=datetime(2026, 11, 20, 12, number // 50, tzinfo=UTC))

    seen, url, pages = [], TRAIL, 0
    while url:
        page = owner.get(url).text
        seen += re.findall(r"number (\d+)</td>", page)
        url = "".join(re.findall(r'href="([^"]*before=[^"]*)"', page)).replace("&amp;", "&")
        pages += 1

    assert (seen, pages) == ([str(number) for number in reversed(range(120))], 3)


def test_the_next_page_asks_the_same_question(owner, tells):
    for _ in range(51):
        tells("role changed", "Ben")
    tells("connection paused", "PayWizard")

    [older] = re.findall(r'href="([^"]*before=[^"]*)"', owner.get(TRAIL, {"kind": "people"}).text)

    assert listed(owner.get(older.replace("&amp;", "&")).text) == ["Gave somebody another role"]


def test_an_empty_trail_says_so_and_leads_to_the_desk(owner):
    page = owner.get(TRAIL).text

    assert "Nothing has been done here yet." in page
    assert 'href="/m/baeckerei-jung/">Go to the desk' in page


# ---- The file -------------------------------------------------------------------------------------------------
def test_the_file_holds_what_the_page_shows_and_all_of_it(owner, tells, monkeypatch):
    monkeypatch.setattr("portal.desk.trail.AT_ONCE", 7)
    for number in range(20):
        tells("role changed", f"number {number}", changes={"role": ("cashier", "manager")})
    tells("connection paused", "PayWizard")

    rows = file_of(owner.post(f"{TRAIL}export/?kind=people"))

    assert [row["About"] for row in rows] == [f"number {number}" for number in reversed(range(20))]
    assert rows[0]["Changes"] == "Role: Cashier → Manager"


def test_taking_the_file_is_a_line_of_the_trail_with_what_was_asked_for(owner, tells, olivia, arrange):
    tells()

    assert len(file_of(owner.post(f"{TRAIL}export/?kind=connections"))) == 1

    with arrange():
        line = AuditEntry.objects.order_by("-pk").first()
    assert (line.verb, line.person, line.detail) == ("trail exported", olivia, {"filter": "kind: connections"})


def test_the_file_is_text_to_a_spreadsheet_whatever_somebody_typed(owner, tells):
    for nasty in ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", 'a"b,c\nd'):
        tells(subject=nasty)

    subjects = [row["About"] for row in file_of(owner.post(f"{TRAIL}export/?kind=connections"))]

    assert subjects == ['a"b,c\nd', "'\t=1", "'@SUM(1)", "'-1", "'+1", "'=HYPERLINK(1)"]


def test_the_file_names_the_zone_and_writes_both_times(owner, tells):
    tells(at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))

    [row] = file_of(owner.post(f"{TRAIL}export/?kind=connections"))

    assert row["Time (Europe/Berlin)"] == "2026-07-02 00:30:00+02:00"
    assert row["Time (UTC)"] == "2026-07-01T22:30:00.000+00:00"


def test_a_file_is_not_taken_by_following_a_link(owner):
    assert owner.get(f"{TRAIL}export/").status_code == 405


def file_of(answer) -> list[dict[str, str]]:
    assert answer.streaming
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"), newline="")))


# ---- Words for everything -------------------------------------------------------------------------------------
def recorded() -> tuple[dict[str, str], dict[str, str]]:
    """Every verb and every detail that any code records, with the file it stands in."""
    verbs, details = dict[str, str](), dict[str, str]()
    for path in PORTAL.rglob("*.py"):
        tree, place = ast.parse(path.read_text()), path.relative_to(PORTAL).as_posix()
        for call, around in _calls(tree):
            if _is_record(call.func, place):
                verbs |= dict.fromkeys(_texts(call.args[0], around, tree, place), place)
                details |= {each.arg: place for each in call.keywords if each.arg and each.arg not in _OWN}
    return verbs, details


_OWN = {"merchant", "person", "request", "changes"}
_Function = ast.FunctionDef | None


def _is_record(func: ast.expr, place: str) -> bool:
    return isinstance(func, ast.Attribute) and func.attr == "record" and getattr(func.value, "id", "") == "audit"


def _calls(tree: ast.AST, around: _Function = None) -> Iterator[tuple[ast.Call, _Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, around
        yield from _calls(node, node if isinstance(node, ast.FunctionDef) else around)


def _texts(node: ast.expr, around: _Function, tree: ast.AST, place: str) -> set[str]:
    """All that an expression can come to: a text, one of two, or what the callers of this function pass."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp():
            return _texts(node.body, around, tree, place) | _texts(node.orelse, around, tree, place)
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name() as name), ast.Constant(value=str(rest))]):
            return {f"{each}{rest}" for each in _texts(name, around, tree, place)}
        case ast.Name(id=name) if around is not None:
            names = [each.arg for each in [*around.args.posonlyargs, *around.args.args]]
            found = set[str]()
            for call, outer in _calls(tree):
                if getattr(call.func, "id", "") == around.name:
                    given = {each.arg: each.value for each in call.keywords} | dict(zip(names, call.args, strict=False))
                    found |= _texts(given[name], outer, tree, place)
            assert found, f"{place}: nobody passes `{name}` to {around.name}."
            return found
    raise AssertionError(f"{place}: a verb of the trail is written out, not computed: {ast.unparse(node)}")


def test_every_verb_that_is_recorded_anywhere_has_words():
    verbs, _details = recorded()
    wanting = [
        f'{place} records "{verb}": add "{verb}": _("…") to its group in portal/desk/trail_words.py.'
        for verb, place in verbs.items()
        if verb not in trail_words._VERBS
    ]

    assert len(verbs) >= 10
    assert not wanting, "\n" + "\n".join(wanting)


def test_every_detail_that_is_recorded_anywhere_has_a_label():
    _verbs, details = recorded()
    wanting = [
        f'{place} records {name}=…: add "{name}": _("…") to DETAILS in portal/desk/trail_words.py.'
        for name, place in details.items()
        if name not in trail_words.DETAILS
    ]

    assert not wanting, "\n" + "\n".join(wanting)


def test_a_verb_stands_in_one_group_and_fits_its_column():
    all_verbs = [verb for _label, verbs in trail_words.GROUPS.values() for verb in verbs]

    assert len(all_verbs) == len(set(all_verbs))
    assert max(map(len, all_verbs)) <= 40


# ---- Nobody rewrites it -----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_applications_role_may_add_and_read_lines_and_nothing_else():
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT r FROM unnest(%s::text[]) r WHERE has_table_privilege('merchants_auditentry', r)"
            " OR (r IN ('UPDATE', 'REFERENCES') AND has_any_column_privilege('merchants_auditentry', r))",
            [list(rights)],
        )
        held = {row[0] for row in cursor.fetchall()}

    assert held == {"SELECT", "INSERT"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE merchants_auditentry SET verb = 'never mind'",
        "DELETE FROM merchants_auditentry",
        "TRUNCATE merchants_auditentry",
        "TRUNCATE merchants_merchant CASCADE",
        "ALTER TABLE merchants_auditentry DISABLE TRIGGER append_only",
        "DROP TABLE merchants_auditentry",
        "SET session_replication_role = replica",
    ],
)
def test_no_statement_of_the_applications_role_changes_or_removes_a_line(statement, tells, arrange):
    tells()
    with arrange():
        with pytest.raises(DatabaseError), transaction.atomic(), database.cursor() as cursor:
            cursor.execute(statement)
        assert AuditEntry.objects.count() == 1


@pytest.mark.django_db(databases=["default", "owner"])
def test_even_the_tables_owner_meets_the_trigger():
    with databases["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT tgenabled FROM pg_trigger"
            " WHERE tgrelid = 'merchants_auditentry'::regclass AND tgname = 'append_only'"
        )
        assert cursor.fetchone() == ("O",)


def test_an_operations_own_lines_are_among_them(jung_shop, arrange):
    with arrange():
        assert AuditEntry.objects.filter(verb="operation asked", merchant=jung_shop.merchant).count() == (
            Operation.objects.filter(merchant=jung_shop.merchant).count()
        )
