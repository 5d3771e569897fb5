"""One table decides who may do what."""

import pytest

from portal.merchants.roles import TABLE, Permission, Role, given_by, held, in_words, may, may_give, who_can

OF_MANAGERS = {
    Permission.APPROVE,
    Permission.DECIDE,
    Permission.EXPORT_OPERATIONS,
    Permission.SEE_SETTINGS,
    Permission.CONNECT,
    Permission.PAUSE_CONNECTIONS,
    Permission.SEE_OUTBOX,
    Permission.HANDLE_OUTBOX,
    Permission.MANAGE_TILLS,
    Permission.MANAGE_STORES,
    Permission.MANAGE_PEOPLE,
    Permission.SEE_AUDIT,
    Permission.MANAGE_BALANCE_PAGE,
}
OF_OWNERS = {Permission.MANAGE_OWNERS, Permission.SET_LIMITS}
CUSTOMERS = {permission for permission in Permission if permission.endswith("_customers")}


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_stands_in_the_table_and_is_for_an_owner(permission):
    assert permission in TABLE
    assert may(Role.OWNER, permission)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.CASHIER, set(Permission) - OF_MANAGERS - OF_OWNERS),
        (Role.MARKETING, {Permission.SEE_DESK, Permission.LEAVE}),
        (
            Role.READ_ONLY,
            {
                Permission.SEE_DESK,
                Permission.LEAVE,
                Permission.SEE_SETTINGS,
                Permission.SEE_OPERATIONS,
                Permission.SEE_OUTBOX,
            },
        ),
        (
            Role.ACCOUNTANT,
            {
                Permission.SEE_DESK,
                Permission.LEAVE,
                Permission.SEE_SETTINGS,
                Permission.SEE_OPERATIONS,
                Permission.EXPORT_OPERATIONS,
                Permission.SEE_AUDIT,
            },
        ),
        (Role.MANAGER, set(Permission) - OF_OWNERS),
    ],
)
def test_each_role_holds_exactly_these(role, allowed):
    assert {permission for permission in Permission if may(role, permission)} - CUSTOMERS == allowed - CUSTOMERS


@pytest.mark.parametrize(
    ("role", "without"),
    [
        (Role.OWNER, set()),
        (Role.MANAGER, set()),
        (Role.CASHIER, {Permission.EXPORT_CUSTOMERS, Permission.ERASE_CUSTOMERS}),
        (Role.MARKETING, CUSTOMERS - {Permission.SEE_CONSENTING_CUSTOMERS}),
        (Role.ACCOUNTANT, CUSTOMERS),
        (Role.READ_ONLY, CUSTOMERS),
    ],
)
def test_of_customers_each_role_sees_and_does_exactly_these(role, without):
    assert {permission for permission in CUSTOMERS if not may(role, permission)} == without


def test_a_role_nobody_knows_holds_nothing():
    assert not any(may("emperor", permission) for permission in Permission)


def test_a_refusal_names_the_roles_that_can():
    assert who_can(Permission.LOOK_UP_CARDS) == "Looking up cards is for Owner, Manager and Cashier."


@pytest.mark.parametrize(
    ("giver", "gives"),
    [
        (Role.OWNER, list(Role)),
        (Role.MANAGER, [role for role in Role if role != Role.OWNER]),
    ],
)
def test_whoever_manages_people_gives_every_role_but_one_above_their_own(giver, gives):
    assert may(giver, Permission.MANAGE_PEOPLE)
    assert given_by(giver) == gives


@pytest.mark.parametrize("role", Role)
def test_nobody_gives_a_role_that_holds_more_than_theirs(role):
    assert all(held(other) <= held(role) for other in given_by(role))


def test_a_role_nobody_knows_is_given_by_nobody_and_gives_no_more_than_nothing():
    assert not may_give(Role.OWNER, "emperor")
    assert given_by("emperor") == []


@pytest.mark.parametrize("role", Role)
def test_a_role_in_words_names_every_permission_once_on_the_side_the_table_says(role):
    words = in_words(role)

    assert set(words.allowed) == {str(doing) for doing, roles in TABLE.values() if role in roles}
    assert sorted(words.allowed + words.not_allowed) == sorted(str(doing) for doing, _roles in TABLE.values())
