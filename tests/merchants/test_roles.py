"""One table decides who may do what."""

import pytest

from portal.merchants.roles import TABLE, Permission, Role, may, who_can


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_stands_in_the_table_and_is_for_an_owner(permission):
    assert permission in TABLE
    assert may(Role.OWNER, permission)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (
            Role.CASHIER,
            set(Permission)
            - {
                Permission.DECIDE,
                Permission.SEE_SETTINGS,
                Permission.CONNECT,
                Permission.RESUME_CONNECTIONS,
                Permission.SEE_OUTBOX,
                Permission.HANDLE_OUTBOX,
                Permission.MANAGE_TILLS,
            },
        ),
        (Role.MARKETING, {Permission.SEE_DESK}),
        (
            Role.READ_ONLY,
            {Permission.SEE_DESK, Permission.SEE_SETTINGS, Permission.SEE_OPERATIONS, Permission.SEE_OUTBOX},
        ),
        (Role.ACCOUNTANT, {Permission.SEE_DESK, Permission.SEE_SETTINGS, Permission.SEE_OPERATIONS}),
        (Role.MANAGER, set(Permission)),
    ],
)
def test_each_role_holds_exactly_these(role, allowed):
    assert {permission for permission in Permission if may(role, permission)} == allowed


def test_a_role_nobody_knows_holds_nothing():
    assert not any(may("emperor", permission) for permission in Permission)


def test_a_refusal_names_the_roles_that_can():
    assert who_can(Permission.LOOK_UP_CARDS) == "Looking up cards is for Owner, Manager and Cashier."
