"""Whose rows the database shows.

PostgreSQL's row-level security decides per row; this module tells it on whose behalf we ask. Three contexts exist:
one merchant, one person's memberships (signing in, the switcher), and every merchant, for a stated reason. Without a
context no row of any merchant is seen or written.

The context is kept in a ContextVar. Every statement looks whether its session stands in the same one, and says so
first where it does not: a block that asks nothing costs nothing, and no rollback can leave a context behind that the
next statement would not notice. It is set for the session and not for the transaction, since outside `atomic` every
statement is its own transaction. `forget` clears it when a pooled connection goes back.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured
from django.db import migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Connection as Session
from psycopg.pq import TransactionStatus


@dataclass(frozen=True, kw_only=True)
class Context:
    """On whose behalf rows are read: exactly one of the three, or nobody."""

    merchant: int | None = None
    person: int | None = None
    every: bool = False


NOBODY = Context()
_current: ContextVar[Context] = ContextVar("tenancy", default=NOBODY)

_WRITE = (
    "SELECT set_config('tillside.merchant', %s, false), set_config('tillside.person', %s, false),"
    " set_config('tillside.every', %s, false)"
)


def current() -> Context:
    """The context in force here."""
    return _current.get()


def merchant(merchant_id: int) -> AbstractContextManager[None]:
    """Within this block the database shows the rows of one merchant, and writes no others."""
    return _within(Context(merchant=merchant_id))


def memberships_of(person_id: int) -> AbstractContextManager[None]:
    """Within this block a person's own memberships and their merchants can be read, nothing else."""
    return _within(Context(person=person_id))


def every_merchant(reason: str) -> AbstractContextManager[None]:
    """Within this block all merchants' rows are open. Each call site, with its reason, stands on a tested list."""
    if not reason:
        raise ValueError("Opening every merchant's rows needs a reason.")
    return _within(Context(every=True))


@contextmanager
def _within(context: Context) -> Iterator[None]:
    before = _current.set(context)
    try:
        yield
    finally:
        _current.reset(before)


# ---- What the sessions know ----------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class _Told:
    """The context a session was told. What was said inside a transaction holds until that ends: rolled back, the
    session stands where it stood before."""

    context: Context
    in_transaction: bool


_told: WeakKeyDictionary["Session[Any]", _Told] = WeakKeyDictionary()


def _say_on_whose_behalf(
    execute: Callable[..., Any], sql: object, params: object, many: bool, about: dict[str, Any]
) -> Any:
    """Around every statement (Django's `execute_wrappers`)."""
    database: BaseDatabaseWrapper = about["connection"]
    session: Session[Any] | None = database.connection
    if session is not None:
        with database.wrap_database_errors:  # a server that has gone is the statement's own failure
            _tell(session)
    try:
        return execute(sql, params, many, about)
    finally:
        if session is not None and isinstance(sql, str) and sql.startswith("ROLLBACK TO"):
            _told.pop(session, None)  # what was said since the savepoint is unsaid


def _tell(session: "Session[Any]") -> None:
    status = session.info.transaction_status
    if session.closed or status == TransactionStatus.INERROR:
        return  # the statement fails by itself, or ends the broken transaction
    wanted, told = current(), _told.get(session)
    if told and told.context == wanted and not (told.in_transaction and status == TransactionStatus.IDLE):
        return
    _told.pop(session, None)
    _write(session, wanted)
    began = session.info.transaction_status != TransactionStatus.IDLE
    _told[session] = _Told(context=wanted, in_transaction=began)


def _write(session: "Session[Any]", context: Context) -> None:
    session.execute(
        _WRITE,
        [
            "" if context.merchant is None else str(context.merchant),
            "" if context.person is None else str(context.person),
            "on" if context.every else "",
        ],
    )


def forget(session: "Session[Any]") -> None:
    """Clear the context of a connection that goes back to the pool: whoever takes it next is told nothing by it, even
    where they ask past Django."""
    if _told.get(session) == _Told(context=NOBODY, in_transaction=False):
        return
    _told.pop(session, None)
    _write(session, NOBODY)
    if not session.autocommit:
        session.commit()
    _told[session] = _Told(context=NOBODY, in_transaction=False)


# SQL for the signed-in person of the memberships context.
PERSON = "nullif(current_setting('tillside.person', true), '')::bigint"

_roles_checked: set[str] = set()


def on_connection_created(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Django's `connection_created`: refuse a role that stands above the policies, and watch every statement."""
    if connection.alias == "default" and connection.alias not in _roles_checked:
        refuse_powerful_role(connection)
        _roles_checked.add(connection.alias)
    if _say_on_whose_behalf not in connection.execute_wrappers:
        # The outermost: `execute_wrapper` takes back the last one, which must not be ours.
        connection.execute_wrappers.insert(0, _say_on_whose_behalf)


def refuse_powerful_role(database: BaseDatabaseWrapper) -> None:
    """Raise ImproperlyConfigured unless the role is bound by row-level security.

    A superuser, a role with BYPASSRLS, and (but for FORCE) a table's owner see every row: the policies would be there
    and do nothing.
    """
    row = database.connection.execute(
        "SELECT rolname, rolsuper, rolbypassrls, EXISTS ("
        "  SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND pg_has_role(relowner, 'MEMBER'))"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    name, is_super, bypasses, owns = row
    faults = [
        word
        for word, wrong in (
            ("a superuser", is_super),
            ("exempt from row-level security", bypasses),
            ("an owner of the tables", owns),
        )
        if wrong
    ]
    if faults:
        raise ImproperlyConfigured(
            f"DATABASE_URL signs in as {name}, which is {' and '.join(faults)}: merchants would not be kept apart."
            " Use a role that only has rights on the rows, and give the owner's login as DATABASE_OWNER_URL."
        )


def protect(table: str, *, shown_to_member: str = "", column: str = "merchant_id") -> migrations.RunSQL:
    """A migration step: put `table` under row-level security, by its merchant in `column`.

    `shown_to_member` is a further SQL condition under which a signed-in person may read (never write) a row.
    """
    mine = f"{column} = nullif(current_setting('tillside.merchant', true), '')::bigint"
    every = "current_setting('tillside.every', true) = 'on'"
    steps = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY one_merchant ON {table} USING ({mine} OR {every}) WITH CHECK ({mine} OR {every})",
    ]
    back = [f"DROP POLICY one_merchant ON {table}", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"]
    if shown_to_member:
        steps.append(f"CREATE POLICY own_memberships ON {table} FOR SELECT USING ({shown_to_member})")
        back.insert(0, f"DROP POLICY own_memberships ON {table}")
    return migrations.RunSQL(tuple(steps), tuple(back))


def tie(table: str, column: str, to: str) -> migrations.RunSQL:
    """A migration step: `table.column` may only point to a row of `to` that belongs to the same merchant."""
    name = f"{table}_{column}_same_merchant"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (merchant_id, {column})"
        f" REFERENCES {to} (merchant_id, id) DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )
