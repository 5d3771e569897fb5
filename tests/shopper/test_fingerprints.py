"""What counts as the same visitor, card and PIN."""

import pytest

from portal.merchants import ring
from portal.shopper import fingerprints


@pytest.fixture(autouse=True)
def own_ring(tmp_path, settings):
    ring.create(tmp_path)
    settings.SEALING_KEYS = tmp_path / "sealing.json"


@pytest.mark.parametrize("typed", ["12345", "912345", "8912345", "6280-3900-0001-2345", "628039000012345"])
def test_a_card_is_one_card_however_much_of_it_is_typed(typed):
    assert fingerprints.of_card(1, typed) == fingerprints.of_card(1, "12345")


def test_where_four_characters_do_the_whole_number_is_counted_with_them():
    assert fingerprints.of_card(1, "6280390000012345", last_digits=4) == fingerprints.of_card(1, "2345", last_digits=4)


def test_capital_letters_make_no_other_card():
    assert fingerprints.of_card(1, "abc123") == fingerprints.of_card(1, "ABC123")


def test_one_household_has_one_address_however_it_hops():
    hops = ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"]

    assert len({fingerprints.of_address(1, each).now for each in hops}) == 1
    assert fingerprints.of_address(1, "2001:db8:1:3::1") != fingerprints.of_address(1, hops[0])
    assert fingerprints.of_network(1, "2001:db8:1:3::1") == fingerprints.of_network(1, hops[0])


def test_a_mapped_address_is_the_address():
    assert fingerprints.of_address(1, "::ffff:192.0.2.1") == fingerprints.of_address(1, "192.0.2.1")
    assert fingerprints.of_network(1, "192.0.2.200") == fingerprints.of_network(1, "192.0.2.1")


def test_two_merchants_cannot_compare_what_they_have():
    assert fingerprints.of_card(1, "12345") != fingerprints.of_card(2, "12345")
    assert fingerprints.of_address(1, "192.0.2.1") != fingerprints.of_address(2, "192.0.2.1")


def test_nothing_of_it_can_be_read():
    kept = fingerprints.of_card(1, "6280390000012345").now + fingerprints.of_address(1, "192.0.2.1").now

    assert b"2345" not in kept
    assert b"192.0" not in kept
