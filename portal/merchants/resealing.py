"""Sealing everything anew under the newest key, while everything runs: for `manage.py rotate_keys`, where workers are.

A column of boxes is one called `sealed…`, in whichever table: bytes, or a JSON object of boxes in base64. A column of
keyed hashes is named by its model's KEYED_HASHES, with the condition (SQL) under which a hash still matters. A test
looks at every column of every table, so that none is forgotten.

Nobody waits for this. Rows are taken in small batches without a lock, and written by one statement that passes over
rows somebody else is at and rows whose box was replaced meanwhile; the next round finds what is left. Broken off at any
moment it has changed nothing but keys, and is begun again.
"""

import base64
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection as database
from django.db import models
from psycopg import sql

from portal.merchants import ring, vault

log = logging.getLogger(__name__)

BATCH = 200  # rows: some 30 ms of work, and one short statement


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of boxes or of keyed hashes."""

    table: str
    name: str
    is_json: bool = False
    is_text: bool = False
    matters: str = "true"

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def names(self) -> dict[str, sql.Composable]:
        return {"table": sql.Identifier(self.table), "column": sql.Identifier(self.name)}


def of_boxes() -> list[Column]:
    """Every column that holds boxes."""
    return [
        Column(table=model._meta.db_table, name=field.attname, is_json=isinstance(field, models.JSONField))
        for model in _models()
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed") and isinstance(field, models.BinaryField | models.JSONField)
    ]


def of_hashes() -> list[Column]:
    """Every column that holds keyed hashes."""
    return [
        Column(
            table=model._meta.db_table,
            name=name,
            is_text=isinstance(model._meta.get_field(name), models.CharField),
            matters=matters,
        )
        for model in _models()
        for name, matters in getattr(model, "KEYED_HASHES", {}).items()
    ]


def _models() -> Iterable[type[models.Model]]:
    return sorted(apps.get_models(), key=lambda model: model._meta.db_table)


# ---- Counting -------------------------------------------------------------------------------------------------
_BOXES = sql.SQL("""
SELECT split_part(encode(substring(box from 1 for 32), 'escape'), ':', 2), count(*)
FROM ({boxes}) AS t(box) GROUP BY 1 ORDER BY 1
""")
_BYTES = sql.SQL("SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
_JSON = sql.SQL("SELECT decode(each.value, 'base64') FROM {table}, jsonb_each_text({column}) AS each")
_HASHES = sql.SQL("""
SELECT {key}, count(*) FROM {table} WHERE {column} IS NOT NULL AND ({matters}) GROUP BY 1 ORDER BY 1
""")
_KEY_OF_TEXT = sql.SQL("split_part({column}, ':', 1)")
_KEY_OF_BYTES = sql.SQL("split_part(encode(substring({column} from 1 for 32), 'escape'), ':', 1)")


def counts() -> dict[Column, dict[str, int]]:
    """How many boxes, and how many hashes that still matter, are under which key. Reads every row of these tables."""
    found = {}
    for column in of_boxes():
        boxes = (_JSON if column.is_json else _BYTES).format(**column.names)
        found[column] = _counted(_BOXES.format(boxes=boxes))
    for column in of_hashes():
        key = (_KEY_OF_TEXT if column.is_text else _KEY_OF_BYTES).format(**column.names)
        statement = _HASHES.format(key=key, matters=sql.SQL(column.matters), **column.names)
        found[column] = _counted(statement)
    return found


def under(key: str) -> dict[Column, int]:
    """Where something is under this key, and how much."""
    return {column: by_key[key] for column, by_key in counts().items() if by_key.get(key)}


def _counted(statement: sql.Composed) -> dict[str, int]:
    with database.cursor() as cursor:
        cursor.execute(statement)
        return dict(cursor.fetchall())


# ---- Sealing anew ---------------------------------------------------------------------------------------------
_BYTES_AFTER = sql.SQL("""
SELECT id, {column} FROM {table}
WHERE id > %(after)s AND {column} IS NOT NULL AND (%(all)s OR substring({column} from 1 for %(length)s) <> %(prefix)s)
ORDER BY id LIMIT %(batch)s
""")
_JSON_AFTER = sql.SQL("""
SELECT id, {column}::text FROM {table} WHERE id > %(after)s AND {column} <> '{{}}' ORDER BY id LIMIT %(batch)s
""")
_REPLACE = sql.SQL("""
WITH fresh AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(before)s::{kind}[], %(now)s::{kind}[]) AS f(id, before, now)
), free AS (
    SELECT t.id FROM {table} t JOIN fresh f ON t.id = f.id WHERE t.{column} = f.before
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE {table} t SET {column} = f.now FROM fresh f JOIN free ON free.id = f.id
WHERE t.id = f.id AND t.{column} = f.before
""")


def reseal(column: Column) -> tuple[int, int]:
    """Once through a column of boxes: how many rows were sealed anew, and how many do not open."""
    done = stuck = after = 0
    prefix = f"1:{ring.sealing()['current']}:".encode()
    while rows := _rows(column, after, but=prefix):
        after = rows[-1][0]
        fresh = []
        for row, before in rows:
            try:
                now = _anew(column, before)
            except vault.CannotOpen:
                stuck += 1
                log.error("a sealed value does not open", extra={"column": str(column), "row": row})
                continue
            if now != before:
                fresh.append((row, before, now))
        done += _replace(column, fresh) if fresh else 0
    return done, stuck


def opened(column: Column) -> tuple[int, int]:
    """How many boxes of a column open with this ring, and how many do not. What is in them is not looked at."""
    done = stuck = after = 0
    while rows := _rows(column, after, but=b""):
        after = rows[-1][0]
        for _row, kept in rows:
            for box in _boxes(column, kept).values():
                if vault.opens(box):
                    done += 1
                else:
                    stuck += 1
    return done, stuck


def _rows(column: Column, after: int, *, but: bytes) -> list[tuple[int, Any]]:
    """The next rows with a box, but those whose box begins so; of a column in JSON all."""
    values = {"after": after, "batch": BATCH, "prefix": but, "length": len(but), "all": not but}
    statement = (_JSON_AFTER if column.is_json else _BYTES_AFTER).format(**column.names)
    with database.cursor() as cursor:
        cursor.execute(statement, values)  # type: ignore[arg-type]
        return [(row, value if column.is_json else bytes(value)) for row, value in cursor.fetchall()]


def _anew(column: Column, before: Any) -> Any:
    if not column.is_json:
        return vault.resealed(before)
    boxes = _boxes(column, before)
    if all(vault.is_current_box(box) for box in boxes.values()):
        return before
    return json.dumps({name: base64.b64encode(vault.resealed(box)).decode() for name, box in boxes.items()})


def _boxes(column: Column, kept: Any) -> dict[str, bytes]:
    if not column.is_json:
        return {"": kept}
    return {name: base64.b64decode(box) for name, box in json.loads(kept).items()}


def _replace(column: Column, fresh: list[tuple[int, Any, Any]]) -> int:
    ids, before, now = zip(*fresh, strict=True)
    statement = _REPLACE.format(kind=sql.SQL("jsonb" if column.is_json else "bytea"), **column.names)
    with database.cursor() as cursor:
        cursor.execute(statement, {"ids": list(ids), "before": list(before), "now": list(now)})
        return int(cursor.rowcount)
