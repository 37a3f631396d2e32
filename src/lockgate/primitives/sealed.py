"""Holding the value proves the check: types only one function can build."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


class Sealed(type):
    """Metaclass of values that only the check they stand for may create, through `Sealed.make`."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # Any: it stands in for every __init__
        raise TypeError(f"{cls.__name__} is the result of a check; it cannot be constructed directly")

    @staticmethod
    def make(kind: type[T], *args: Any, **kwargs: Any) -> T:
        """Build `kind`. Called by the module that defines the check, and by nothing else."""
        return type.__call__(kind, *args, **kwargs)  # type: ignore[no-any-return]  # type.__call__ is untyped


__all__ = ("Sealed",)
