"""One writer per model: rows that tell the truth about money are written in one place only.

A model whose manager is made of WrittenRows, and whose `save` and `delete` call `writer.require()`, refuses every
write outside a function decorated with `@writer.writes`. A test checks that only the named modules decorate.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

from django.db import models

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=models.Model, covariant=True)


class WrittenElsewhere(Exception):
    """A write from outside the model's writer. Call the writer's function instead; do not catch this."""


class Writer:
    """The right to write one model, held by the module of this name; by more than one where they share its life."""

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self._open: ContextVar[bool] = ContextVar(f"writer of {self}", default=False)

    def __str__(self) -> str:
        return " and ".join(self.modules)

    def writes(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function of a writer module: while it runs, the model may be written."""
        if function.__module__ not in self.modules:
            raise WrittenElsewhere(f"Only {self} writes these rows, not {function.__module__}.")

        @wraps(function)
        def writing(*args: P.args, **kwargs: P.kwargs) -> R:
            before = self._open.set(True)
            try:
                return function(*args, **kwargs)
            finally:
                self._open.reset(before)

        return writing

    def require(self) -> None:
        """Raise WrittenElsewhere unless a writer module is at work."""
        if not self._open.get():
            raise WrittenElsewhere(f"These rows are written by {self} only.")


class WrittenRows(models.QuerySet[M]):
    """Rows whose bulk writes obey the same rule. A model's own subclass names its `writer`."""

    writer: ClassVar[Writer]

    def update(self, **values: Any) -> int:
        self.writer.require()
        return super().update(**values)

    def delete(self) -> tuple[int, dict[str, int]]:
        self.writer.require()
        return super().delete()

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[M]:
        self.writer.require()
        return super().bulk_create(*args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> int:
        self.writer.require()
        return super().bulk_update(*args, **kwargs)
