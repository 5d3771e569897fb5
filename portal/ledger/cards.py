"""Cards we know: remembered from their first use, with the last reading their provider gave us.

A card is known by a keyed hash of its number. The number itself is sealed, because later calls need it; only workers
can open it, and nothing ever shows it.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.db import connection as database
from django.db import transaction

from portal.connectors.base import CardStatus, CustomerDetails, Reading
from portal.connectors.results import BONUS, CASH, Balance
from portal.customers import words
from portal.ledger import clock
from portal.ledger.models import Card
from portal.merchants import vault
from portal.merchants.models import Connection, Merchant
from portal.money import Money, Points

FOUND = (CardStatus.USABLE, CardStatus.EMPTY, CardStatus.EXPIRED)


def card_of(connection: Connection, number: str) -> Card:
    """The card with this whole number, as the connector normalises it; remembered from the first time on."""
    index = index_of(connection, number)  # before the others, so that it is one of them whenever keys change
    indexes = indexes_of(connection, number)
    rows = Card.objects.select_related("connection").filter(connection=connection, index__in=indexes)
    if found := rows.first():
        return found
    with transaction.atomic():
        if len(indexes) > 1:
            _alone(indexes[0])
            if found := rows.first():
                return found
        fresh = Card(merchant_id=connection.merchant_id, connection=connection, index=index, last_four=number[-4:])
        fresh.sealed_number = vault.seal(place(fresh), number.encode())
        Card.objects.bulk_create([fresh], ignore_conflicts=True)  # two scans at once remember one card
    return rows.get()


def _alone(index: bytes) -> None:
    """While keys change, two scans at once may hash one number under two keys, and the database would see two cards:
    one waits for the other, for which the oldest key's hash is a name both of them know."""
    name = int.from_bytes(index[-8:], signed=True)
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [name])


def known(connection: Connection, number: str) -> bool:
    """Whether this whole number was seen before, as the connector normalises it."""
    return Card.objects.filter(connection=connection, index__in=indexes_of(connection, number)).exists()


def index_of(connection: Connection, number: str) -> bytes:
    """The keyed hash under which this number is kept from now on."""
    return vault.card_index(merchant=connection.merchant_id, provider=connection.provider, number=number)


def indexes_of(connection: Connection, number: str) -> list[bytes]:
    """All keyed hashes under which this number may be kept, the oldest key's first: look for it under each."""
    return vault.card_indexes(merchant=connection.merchant_id, provider=connection.provider, number=number)


def number_of(card: Card) -> str:
    """The card's number, in a worker. Raises CannotOpen."""
    return vault.open_sealed(place(card), card.sealed_number).decode()


def place(card: Card) -> vault.Context:
    """Where the sealed number belongs."""
    return vault.Context(merchant=card.merchant_id, table="ledger_card", row=str(card.key), field="number")


def remember(card_id: int | None, reading: Reading, merchant: Merchant) -> None:
    """Keep what the provider told of the card now; without a card there is nothing to keep."""
    if card_id is None:
        return
    found = reading.status in FOUND
    money = money_of(reading) if found else None
    cash, bonus = parts_of(reading) if found else (None, None)
    Card.objects.filter(pk=card_id).update(
        balance_minor=money.minor if money else None,
        balance_currency=money.currency if money else "",
        cash_minor=cash,
        bonus_minor=bonus,
        points=points_of(reading) if found else None,
        card_status=reading.status,
        expires_on=last_day(reading, merchant),
        read_at=clock.now(),
    )


def money_of(reading: Reading) -> Money | None:
    """The money on the card in its connection's currency, or None where the provider tells none."""
    return next((b.value for b in reading.balances if b.kind == "total" and isinstance(b.value, Money)), None)


def parts_of(reading: Reading) -> tuple[int | None, int | None]:
    """What of its money was paid in and what was given, in minor units; None where the provider does not say."""
    parts = {each.kind: each.value.minor for each in reading.balances if isinstance(each.value, Money)}
    return parts.get(CASH), parts.get(BONUS)


def paid_in(balances: Iterable[Balance]) -> int | None:
    """What of a card's money was paid in, in minor units, or None where these balances do not tell."""
    return next((b.value.minor for b in balances if b.kind == CASH and isinstance(b.value, Money)), None)


def points_of(reading: Reading) -> int | None:
    """The points on the card, or None where the provider tells none."""
    return next((b.value.count for b in reading.balances if isinstance(b.value, Points)), None)


def last_day(reading: Reading, merchant: Merchant) -> date | None:
    """The last day the card is good, in the merchant's zone."""
    if reading.expires_at is None:
        return reading.expires
    # "Good before this moment": the day, in the merchant's zone, that holds the last moment before it.
    return (reading.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(merchant.time_zone)).date()


def masked_holder(details: CustomerDetails | None) -> dict[str, str]:
    """Who holds the card, as staff may see it: enough to greet somebody, too little to write to them."""
    if details is None:
        return {}
    name = " ".join(filter(None, [details.first_name[:1] and f"{details.first_name[:1]}.", details.last_name]))
    masked = {
        "name": name,
        "email": words.masked_email(details.email),
        "phone": words.masked_phone(details.phone),
    }
    return {label: text for label, text in masked.items() if text}
