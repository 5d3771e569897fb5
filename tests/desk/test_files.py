"""Files of people's data: whoever takes one says once more who they are, if that was a while ago."""

import time

import pytest

from portal.merchants.models import AuditEntry
from tests.customers.conftest import keeps

__all__ = ["keeps"]

JUNG = "/m/baeckerei-jung"


@pytest.mark.parametrize("file", ["settings/trail/export/", "customers/export/", "customers/{key}/data/"])
def test_a_session_left_open_takes_no_file_of_peoples_data_away(signed_in, olivia, keeps, arrange, file):
    path = f"{JUNG}/{file.format(key=keeps(last_name='Vogel').key)}"
    owner = signed_in(olivia)
    session = owner.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - 6 * 60}]
    session.save()

    asked = owner.post(path)

    assert asked["Location"].startswith("/accounts/prove/?next=")
    with arrange():
        assert not AuditEntry.objects.filter(verb__contains="exported").exists()
    owner.post("/accounts/prove/", {"password": "open sesame", "next": path})
    assert owner.post(path).status_code == 200
