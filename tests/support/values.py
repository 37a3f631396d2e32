"""Changing one field of a value, whichever kind of value it is."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

T = TypeVar("T")


def replace(value: T, /, **fields: object) -> T:
    """Return `value`, a named tuple or a dataclass, with other values in the fields named."""
    if isinstance(value, tuple):
        return value._replace(**fields)  # type: ignore[attr-defined, no-any-return]  # a named tuple's own method
    return dataclasses.replace(value, **fields)  # type: ignore[type-var]  # every other value here is a dataclass
