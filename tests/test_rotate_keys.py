"""New keys for old while everything runs: nothing is lost, nothing is left behind, and nobody notices."""

import ast
import base64
import io
import json
import uuid
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models, transaction

from portal.ledger import approvals, balances, cards, operations
from portal.ledger.models import Card, Inquiry, Operation
from portal.mail.models import OutgoingMail
from portal.merchants import connections, pins, resealing, ring, tenancy, tills, vault
from portal.merchants.models import AuditEntry, Connection, Member, Pin, Till
from portal.money import Money
from tests.conftest import make_connection

PORTAL = Path(__file__).resolve().parents[1] / "portal"
NUMBER = "6280390000000001"

# Columns of bytes that are neither boxes nor keyed hashes.
PLAIN = {"ledger_operation.in_flight_key", "shopper_balancepage.logo"}


@pytest.fixture(autouse=True)
def own_ring(tmp_path, settings):
    """A fresh key ring of this test's own."""
    ring.create(tmp_path)
    settings.SEALING_KEYS, settings.OPENING_KEYS = tmp_path / "sealing.json", tmp_path / "opening.json"
    return tmp_path


def rotate(*flags: str) -> str:
    out = io.StringIO()
    call_command("rotate_keys", "--pause", "0", "--after", "0", *flags, stdout=out, stderr=out)
    return out.getvalue()


def keys_of(kind) -> set[str]:
    with tenancy.every_merchant("a test arranges its rows"):
        counted = resealing.counts()
    return {key for column in kind() for key in counted[column]}


# ---- Every column ---------------------------------------------------------------------------------------------
def test_every_column_of_bytes_is_known_to_be_a_box_a_keyed_hash_or_neither():
    """Whoever adds a column of bytes calls it `sealed…`, or names it in its model's KEYED_HASHES, or in PLAIN above."""
    known = {str(column) for column in [*resealing.of_boxes(), *resealing.of_hashes()]} | PLAIN
    bytes_there = {
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.BinaryField)
    }

    assert bytes_there <= known
    assert bytes_there >= PLAIN


def test_everything_called_sealed_is_found_and_kept_in_a_way_that_can_be_sealed_anew():
    called = {
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed")
    }

    assert called == {str(column) for column in resealing.of_boxes()}
    assert {"merchants_connection.sealed_secrets", "ledger_card.sealed_number", "mail_outgoingmail.sealed_message"} < (
        called
    )


def test_a_card_is_looked_for_under_every_key_of_the_ring():
    """By one key's hash alone it would be missed while keys change: others ask cards.indexes_of."""
    users = {
        path.relative_to(PORTAL).as_posix()
        for path in PORTAL.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "card_index" and isinstance(node.value, ast.Name)
        if node.value.id == "vault"
    }

    assert users == {"checks.py", "ledger/cards.py", "ledger/operations.py"}


# ---- Rotating -------------------------------------------------------------------------------------------------
@pytest.fixture
def shop(jung_shop):
    """Jung's, with one of everything."""
    with tenancy.merchant(jung_shop.merchant.pk):
        yield jung_shop


def test_the_plan_says_what_is_under_which_key_and_changes_nothing(shop, own_ring):
    before = (own_ring / "sealing.json").read_text()
    told = rotate("--plan")

    assert "ledger_card.sealed_number  k1: " in told
    assert "ledger_card.index  i1: " in told
    assert "would add a new pair of keys" in told
    assert (own_ring / "sealing.json").read_text() == before
    assert keys_of(resealing.of_boxes) == {"k1"}


def test_after_it_everything_is_under_the_new_keys_and_every_box_opens(shop):
    card, link = shop.card, shop.connection
    mails = list(OutgoingMail.objects.exclude(sealed_message=None))
    secrets = connections.open_secrets(link)
    rotate()

    assert keys_of(resealing.of_boxes) == {"k2"}
    link.refresh_from_db()
    assert connections.open_secrets(link) == secrets
    for each in Card.objects.all():
        assert cards.number_of(each)[-4:] == each.last_four
        assert bytes(each.index).startswith(b"i2:")
    for mail in mails:
        mail.refresh_from_db()
        place = vault.Context(merchant=mail.merchant_id, table="mail_outgoingmail", row=str(mail.key), field="message")
        assert vault.open_sealed(place, mail.sealed_message)
    assert mails
    assert cards.card_of(link, cards.number_of(card)).pk == card.pk


def test_the_trail_says_so_and_holds_no_key(shop, own_ring):
    rotate()

    with tenancy.every_merchant("a test looks"):
        lines = list(AuditEntry.objects.filter(merchant=None).order_by("id"))
    verbs = [(line.verb, line.subject) for line in lines if line.subject == "k2 i2"]
    assert verbs == [("keys added", "k2 i2"), ("keys put to use", "k2 i2"), ("sealed anew", "k2 i2")]
    keys = json.loads((own_ring / "sealing.json").read_text())
    written = " ".join(str(line.detail) + line.subject for line in lines)
    assert not any(key in written for key in [*keys["keys"].values(), *keys["index"]["keys"].values()])


def test_boxes_in_a_json_column_are_sealed_anew_too(link):
    """{name: box in base64}, as a draft keeps them; here in a column that holds something else otherwise."""
    place = vault.Context(merchant=1, table="drafts", row="1", field="sealed")
    box = base64.b64encode(vault.seal(place, b"secret")).decode()
    Connection.objects.filter(pk=link.pk).update(options={"api_key": box, "token": box})
    column = resealing.Column(table="merchants_connection", name="options", is_json=True)
    ring.add()
    ring.use_newest()

    assert resealing.reseal(column) == (1, 0)
    assert resealing.reseal(column) == (0, 0)
    link.refresh_from_db()
    boxes = [base64.b64decode(each) for each in link.options.values()]
    assert [vault.open_sealed(place, each) for each in boxes] == [b"secret", b"secret"]
    assert all(each.startswith(b"1:k2:") for each in boxes)


def test_a_secret_replaced_meanwhile_stays_replaced(shop, monkeypatch):
    link = shop.connection
    resealed = vault.resealed

    def and_somebody_replaces_it(sealed):
        anew = resealed(sealed)
        if bytes(sealed) == bytes(link.sealed_secrets):
            connections.seal_secrets(link, {"client_secret": "newer", "token": "newer"})
            Connection.objects.filter(pk=link.pk).update(sealed_secrets=link.sealed_secrets)
        return anew

    monkeypatch.setattr(vault, "resealed", and_somebody_replaces_it)
    rotate()

    link.refresh_from_db()
    assert connections.open_secrets(link) == {"client_secret": "newer", "token": "newer"}


def test_broken_off_it_loses_nothing_and_goes_on_where_it_stood(shop, monkeypatch):
    resealed, left = vault.resealed, [2]

    def dies(sealed):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return resealed(sealed)

    monkeypatch.setattr(vault, "resealed", dies)
    monkeypatch.setattr(resealing, "BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    monkeypatch.undo()

    assert keys_of(resealing.of_boxes) == {"k1", "k2"}
    assert all(cards.number_of(each)[-4:] == each.last_four for each in Card.objects.all())
    assert "would go on" in rotate("--plan")
    rotate()
    assert keys_of(resealing.of_boxes) == {"k2"}  # and not k3
    assert ring.newest() == ("k2", "i2")


def test_a_box_that_does_not_open_is_counted_and_keeps_its_key(shop):
    damaged = bytearray(bytes(shop.card.sealed_number))
    damaged[-1] ^= 1
    Card.objects.filter(pk=shop.card.pk).update(sealed_number=bytes(damaged))

    told = rotate()

    assert "do not open" in told
    assert bytes(Card.objects.get(pk=shop.card.pk).sealed_number) == bytes(damaged)
    with pytest.raises(CommandError, match="1 are still under k1"):
        rotate("--retire", "k1")


def test_a_box_copied_into_another_row_is_sealed_anew_and_still_opens_nowhere(shop):
    other = cards.card_of(shop.connection, "914639258868509")
    Card.objects.filter(pk=other.pk).update(sealed_number=shop.card.sealed_number)
    rotate()
    other.refresh_from_db()

    assert bytes(other.sealed_number).startswith(b"1:k2:")
    with pytest.raises(vault.CannotOpen, match="another row"):
        cards.number_of(other)


# ---- Retiring -------------------------------------------------------------------------------------------------
def test_an_old_key_is_retired_only_at_a_count_of_zero(shop, monkeypatch):
    # Somebody holds a box of before and stores it late.
    late = bytes(shop.card.sealed_number)
    rotate()
    Card.objects.filter(pk=shop.card.pk).update(sealed_number=late)

    with pytest.raises(CommandError, match="1 are still under k1"):
        rotate("--retire", "k1")
    assert "k1" in ring.opening()["keys"]
    assert cards.number_of(Card.objects.get(pk=shop.card.pk))[-4:] == shop.card.last_four

    rotate()
    rotate("--retire", "k1")

    assert list(ring.opening()["keys"]) == ["k2"]
    assert list(ring.sealing()["keys"]) == ["k2"]
    assert cards.number_of(Card.objects.get(pk=shop.card.pk))[-4:] == shop.card.last_four


def test_a_key_that_was_in_use_a_moment_ago_is_not_retired(shop):
    rotate()

    with pytest.raises(CommandError, match="was in use until"):
        call_command("rotate_keys", "--retire", "k1", "--pause", "0")


@pytest.mark.parametrize(("key", "why"), [("k1", "is in use"), ("i1", "is in use"), ("k9", "not on the ring")])
def test_a_key_in_use_or_unknown_is_not_retired(db, key, why):
    with pytest.raises(CommandError, match=why):
        rotate("--retire", key)


def test_a_key_yet_to_come_is_not_retired(db):
    rotate("--add")

    with pytest.raises(CommandError, match="the one to come"):
        rotate("--retire", "k2")
    assert "k2 and i2 are in use" in rotate()


def test_hashes_hold_their_key_until_they_are_made_anew(shop):
    rotate()

    with pytest.raises(CommandError, match="still under i1"):
        rotate("--retire", "i1")


def test_without_the_private_ring_it_says_where_to_run(db, settings):
    settings.OPENING_KEYS = None

    with pytest.raises(CommandError, match="where a worker runs"):
        rotate("--plan")


# ---- What is kept as a hash -----------------------------------------------------------------------------------
@pytest.fixture
def link(jung, arrange):
    with arrange():
        made = make_connection(jung)
    with tenancy.merchant(jung.pk):
        yield made


@pytest.fixture
def paywizard(shop):
    return shop.connection


def test_a_card_is_one_card_before_during_and_after(link):
    card = cards.card_of(link, NUMBER)
    ring.add()
    assert cards.card_of(link, NUMBER).pk == card.pk
    ring.use_newest()
    assert cards.card_of(link, NUMBER).pk == card.pk
    assert cards.known(link, NUMBER)
    fresh = cards.card_of(link, "6280390000000002")
    assert bytes(fresh.index).startswith(b"i2:")
    rotate()
    assert cards.card_of(link, NUMBER).pk == card.pk
    ring.retire("i1")
    assert cards.card_of(link, NUMBER).pk == card.pk
    assert Card.objects.count() == 2


def test_look_ups_follow_their_card(link, jung, alice):
    member = Member.objects.select_related("merchant", "person").get(person=alice)
    card = cards.card_of(link, NUMBER)
    key = uuid.uuid4()
    asked = balances.open_look_up(member=member, key=key, connection=link, number=NUMBER, client=None)
    ring.add()
    ring.use_newest()
    again = balances.open_look_up(member=member, key=key, connection=link, number=NUMBER, client=None)
    rotate()

    assert again.pk == asked.pk
    card.refresh_from_db()
    assert bytes(Inquiry.objects.get(pk=asked.pk).card_index) == bytes(card.index)


def test_a_form_sent_again_after_the_keys_changed_is_still_the_same_wish(shop, paywizard):
    wish = operations.Wish(verb="pay", card=shop.card, amount=Money(100, str(paywizard.options["currency"])))
    key = uuid.uuid4()
    asked = operations.request(member=shop.owner, key=key, wish=wish)
    rotate()
    wish = operations.Wish(verb="pay", card=Card.objects.get(pk=shop.card.pk), amount=wish.amount)

    assert operations.request(member=shop.owner, key=key, wish=wish).pk == asked.pk
    other = operations.Wish(verb="pay", card=wish.card, amount=Money(101, wish.amount.currency))
    with pytest.raises(operations.OtherContent):
        operations.request(member=shop.owner, key=key, wish=other)


def test_one_operation_at_a_time_holds_across_a_change_of_keys(shop, paywizard):
    """What runs was asked under the old key; what is asked under the new one waits for it all the same."""
    amount = Money(100, str(paywizard.options["currency"]))
    card = cards.card_of(paywizard, "914639258868577")
    before = operations.request(
        member=shop.owner, key=uuid.uuid4(), wish=operations.Wish(verb="pay", card=card, amount=amount)
    )
    rotate()
    card = cards.card_of(paywizard, "914639258868577")
    after = operations.request(
        member=shop.owner, key=uuid.uuid4(), wish=operations.Wish(verb="pay", card=card, amount=amount)
    )

    assert bytes(Operation.objects.get(pk=before.pk).in_flight_key) == bytes(after.in_flight_key) == card.key.bytes


def test_a_wish_before_a_second_person_is_the_same_wish_after(shop):
    approval = shop.approval
    rotate()
    fresh = operations.asked_for(approvals.of_key(approval.merchant, approval.key))

    assert operations.is_same(fresh, approval.fingerprint)


def test_a_pin_is_hashed_anew_the_first_time_it_is_used(jung, alice):
    with tenancy.merchant(jung.pk):
        member = Member.objects.select_related("merchant", "person").get(person=alice)
        pins.choose(member, "3951", request=None)
        pin = Pin.objects.get(member=member)
        ring.add()
        ring.use_newest()
        with transaction.atomic():
            assert pins.check(jung.pk, pin.key, "1111")[1] == "wrong"
        assert Pin.objects.get(pk=pin.pk).hash.startswith("i1:")
        with transaction.atomic():
            assert pins.check(jung.pk, pin.key, "3951")[0] == member
        assert Pin.objects.get(pk=pin.pk).hash.startswith("i2:")
        ring.retire("i1")
        with transaction.atomic():
            assert pins.check(jung.pk, pin.key, "3951")[0] == member


def test_a_till_is_known_by_the_new_key_from_its_next_page_on(shop, rf):
    till, cookie = tills.open_here(shop.owner, name="Window", store=shop.till.store, request=rf.get("/"))
    ring.add()
    ring.use_newest()
    request = rf.get("/")
    request.COOKIES[tills.COOKIE] = cookie

    assert tills.of(request) == till
    assert bytes(Till.objects.get(pk=till.pk).token_verifier).startswith(b"i2:")
    ring.retire("i1")
    again = rf.get("/")
    again.COOKIES[tills.COOKIE] = cookie
    assert tills.of(again) == till
