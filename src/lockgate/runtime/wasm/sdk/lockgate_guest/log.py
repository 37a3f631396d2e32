"""Lines for the operator of this endpoint. They stay with his host."""

from __future__ import annotations

from ._host import host


def debug(text: str) -> None:
    host().log(0, text)


def info(text: str) -> None:
    host().log(1, text)


def warning(text: str) -> None:
    host().log(2, text)


def error(text: str) -> None:
    host().log(3, text)
