"""Tills as tests open them: a browser of the shop, and the PINs of its people."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client, RequestFactory

from portal.merchants import pins, tenancy
from portal.merchants.models import Member, Pin, Till, pin_writer, till_writer

PIN, OTHER_PIN = "3951", "8264"
DESK = "/m/baeckerei-jung/"


def choose_pin(person: Any, merchant: Any, digits: str = PIN) -> Pin:
    with tenancy.merchant(merchant.pk):
        member = Member.objects.select_related("merchant", "person").get(person=person, merchant=merchant)
        pins.choose(member, digits, request=RequestFactory().get("/"))
        return Pin.objects.select_related("member__person").get(member=member)


def change(row: Any, **values: Any) -> None:
    """Set what takes time or ten tries."""
    writer = pin_writer if isinstance(row, Pin) else till_writer
    before = writer._open.set(True)
    try:
        with tenancy.merchant(row.merchant_id):
            type(row).objects.filter(pk=row.pk).update(**values)
    finally:
        writer._open.reset(before)


def fresh(row: Any) -> Any:
    """The row as it stands now."""
    with tenancy.merchant(row.merchant_id):
        return type(row).objects.get(pk=row.pk)


class Shop:
    """A browser that is a till. `unlocks` gives back the answer."""

    def __init__(self, client: Client, merchant: Any) -> None:
        self.client, self.merchant = client, merchant

    @property
    def row(self) -> Till:
        with tenancy.merchant(self.merchant.pk):
            return Till.objects.select_related("cashier", "store").order_by("-id")[0]

    def unlocks(self, pin: Pin, digits: str = PIN) -> Any:
        return self.client.post("/till/", {"who": str(pin.key), "pin": digits})

    def works(self, pin: Pin, digits: str = PIN) -> None:
        """Unlock and go to work, without a shift."""
        assert self.unlocks(pin, digits).status_code == 303
        self.client.post(f"{DESK}shift/start/", {"later": "1"})

    def left_alone(self, seconds: int = 121) -> None:
        row = self.row
        change(row, active_at=row.active_at - timedelta(seconds=seconds))

    def said(self, answer: Any, *also: str) -> str:
        """The page without what is fresh in each: tokens and references, and `also` these."""
        text = answer.text
        for each in also:
            text = text.replace(each, "")
        text = re.sub("[0-9A-Za-z]{64}", "", text)
        return text.replace(answer["X-Request-ID"], "")


def open_till(client: Client, merchant: Any, store: Any, name: str = "Front till") -> Shop:
    """As the owner signed in here does it."""
    answer = client.post(f"{DESK}settings/tills/", {"name": name, "store": store.pk})
    assert answer.status_code == 302, answer.text
    return Shop(client, merchant)
