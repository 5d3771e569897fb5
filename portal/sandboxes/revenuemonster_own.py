"""What this Revenue Monster sandbox has of its own and keeps through every reset: two key pairs, and what the merchant
has set."""

import sqlite3

from portal.sandboxes import revenuemonster_signing as signing
from portal.sandboxes.store import keep, kept

NAME = "revenuemonster"


def client_private_key(db: sqlite3.Connection) -> str:
    """The key that was handed to the merchant's program."""
    return _made(db, "client private key")


def client_public_key(db: sqlite3.Connection) -> str:
    """The key that requests are checked with: the one the merchant has set, else that of the key handed out."""
    uploaded = kept(db, NAME, "client public key")
    return signing.public_key(client_private_key(db)) if uploaded is None else uploaded


def set_client_public_key(db: sqlite3.Connection, pem: str) -> None:
    """ "" for none at all."""
    keep(db, NAME, "client public key", pem)


def server_private_key(db: sqlite3.Connection) -> str:
    """The key that callbacks and tokens are signed with."""
    return _made(db, "server private key")


def callback_address(db: sqlite3.Connection) -> str:
    """Where the merchant wants to hear of codes that are claimed, "" for nowhere."""
    return kept(db, NAME, "callback address") or ""


def set_callback_address(db: sqlite3.Connection, url: str) -> None:
    keep(db, NAME, "callback address", url)


def _made(db: sqlite3.Connection, name: str) -> str:
    pem = kept(db, NAME, name)
    if pem is None:
        pem = signing.new_private_key()
        keep(db, NAME, name, pem)
    return pem
