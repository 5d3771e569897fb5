"""A dozen made-up customers for each demo merchant, most of them holding a card of the sandbox."""

import uuid

from portal.customers.book import Details
from portal.customers.models import Customer, Purpose, Source
from portal.ledger import cards, holders
from portal.merchants import tenancy
from portal.merchants.models import Connection, Member, Merchant

_KEYS = uuid.UUID("9a9a3c0e-5f0b-4d59-9a8e-0c1b7d0f5e11")  # the demo's own, so that loading again adds nobody
CARDS = [f"914639000000{end}" for end in range(900, 910)]  # the last month's history is theirs
_NONE: tuple[Purpose, ...] = ()
_MAILS = (Purpose.MAILS,)

# First name, last name, salutation, telephone number, what they agree to. Numbers kept for films and examples.
_PEOPLE: dict[str, list[tuple[str, str, str, str, tuple[Purpose, ...]]]] = {
    "baeckerei-jung": [
        ("Mara", "Schönfeld", "ms", "+493023125001", _MAILS),
        ("Jonas", "Adler", "mr", "+493023125002", _NONE),
        ("Emilia", "Köhler", "ms", "", _MAILS),
        ("Kaya", "Yıldız", "neutral", "+493023125004", (Purpose.MAILS, Purpose.CALLS)),
        ("Friedrich", "von Ahlen", "mr", "+493023125005", _NONE),
        ("Lena", "Öztürk", "ms", "", _MAILS),
        ("Theo", "Baumann", "mr", "+493023125007", (Purpose.LETTERS,)),
        ("Anneliese", "Graf", "ms", "+493023125008", _NONE),
        ("Piotr", "Nowak", "mr", "", _MAILS),
        ("Sophie", "Lindner", "ms", "+493023125010", _NONE),
        ("Sofie", "Lindner", "ms", "+493023125010", _MAILS),  # perhaps the same person: to try merging
        ("Henrik", "Dahl", "", "", _NONE),
    ],
    "kauri-books": [
        ("Mere", "Tūhoe", "ms", "+6493000001", _MAILS),
        ("Jack", "Thompson", "mr", "", _NONE),
        ("Isla", "McKenzie", "ms", "", _MAILS),
        ("Wiremu", "Parata", "mr", "", _NONE),
        ("Charlotte", "Ng", "ms", "", _MAILS),
        ("Tane", "Rewi", "mr", "", _NONE),
        ("Grace", "O'Connor", "ms", "", (Purpose.MAILS, Purpose.LETTERS)),
        ("Liam", "Patel", "mr", "", _NONE),
        ("Ruby", "Hughes", "ms", "", _MAILS),
        ("Noah", "Fa'asavalu", "mr", "", _NONE),
        ("Ella", "Sørensen", "ms", "", _MAILS),
        ("Max", "Chen", "neutral", "", _NONE),
    ],
}


def load(merchant: Merchant) -> None:
    """Make the merchant's customers where they are not there yet; one that was erased does not come back."""
    people = _PEOPLE[merchant.slug]
    keys = [uuid.uuid5(_KEYS, f"{merchant.slug} {place}") for place in range(len(people))]
    with tenancy.merchant(merchant.pk):
        there = set(Customer.objects.filter(merchant=merchant, key__in=keys).values_list("key", flat=True))
        member = Member.objects.select_related("merchant", "person").filter(merchant=merchant, role="manager").first()
        connection = Connection.objects.filter(merchant=merchant, provider="paywizard").order_by("id").first()
        if member is None or connection is None:
            return
        for place, (key, person) in enumerate(zip(keys, people, strict=True)):
            if key not in there:
                number = CARDS[place] if place < len(CARDS) else None
                _add(member, key, person, place, connection, number)


def _add(
    member: Member,
    key: uuid.UUID,
    person: tuple[str, str, str, str, tuple[Purpose, ...]],
    place: int,
    connection: Connection,
    number: str | None,
) -> None:
    first, last, salutation, phone, agrees = person
    card = cards.card_of(connection, number) if number else None
    holders.add(
        member=member,
        key=key,
        details=Details(
            salutation=salutation,
            first_name=first,
            last_name=last,
            email=f"customer{place + 1}@{member.merchant.slug}.example",
            phone=phone,
        ),
        agreement=holders.Agreement(purposes=agrees, source=Source.ON_PAPER),
        card=card if card is not None and card.customer_id is None else None,
    )
