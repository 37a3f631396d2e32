"""The YAML that consensus test cases are written in: block and flow collections of plain or quoted scalars.

Every scalar comes back as its text. What is beyond this subset is an error and never misread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_ENTRY = re.compile(r"(?P<key>[\w.-]+):(?: +(?P<value>.*))?")
_TOKEN = re.compile(r"\s*([{}\[\],]|'(?:[^']|'')*'|\"[^\"\\]*\"|[\w.-]+:(?=\s)|[^\s{}\[\],'\"]+)")


def load(text: str) -> Any:
    """One document."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[0].startswith(("{", "[")):
        return flow(" ".join(lines))
    value, rest = block(lines, 0)
    if rest:
        raise ValueError(f"cannot read {rest[0]!r}")
    return value


def block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    """The mapping or list that stands at an indentation, and the lines behind it."""
    if lines and lines[0][indent:].startswith("- "):
        return sequence(lines, indent)
    found: dict[str, Any] = {}
    while lines and depth(lines[0]) == indent:
        match = _ENTRY.fullmatch(lines[0][indent:])
        if match is None:
            raise ValueError(f"no entry: {lines[0]!r}")
        found[match["key"]], lines = value_of(match["value"] or "", lines[1:], indent)
    return found, lines


def sequence(lines: list[str], indent: int) -> tuple[list[Any], list[str]]:
    items = []
    while lines and depth(lines[0]) == indent and lines[0][indent:].startswith("- "):
        first = lines[0][:indent] + "  " + lines[0][indent + 2 :]
        item, lines = block([first, *lines[1:]], indent + 2)
        items.append(item)
    return items, lines


def value_of(text: str, lines: list[str], indent: int) -> tuple[Any, list[str]]:
    text = re.sub(r"\s#.*", "", text).strip()
    if text.startswith(("{", "[")):
        while text.count("{") + text.count("[") > text.count("}") + text.count("]"):
            text, lines = f"{text} {lines[0].strip()}", lines[1:]
        return flow(text), lines
    if text:
        return scalar(text), lines
    deeper = depth(lines[0]) if lines else -1
    if deeper > indent or (deeper == indent and lines[0][indent:].startswith("- ")):
        return block(lines, deeper)
    return None, lines


def flow(text: str) -> Any:
    tokens = _TOKEN.findall(text)
    value, rest = flow_value(iter([*tokens, ""]), None)
    if next(rest, "") != "":
        raise ValueError(f"more behind a value: {text[:80]!r}")
    return value


def flow_value(tokens: Iterator[str], first: str | None) -> tuple[Any, Iterator[str]]:
    token = next(tokens) if first is None else first
    if token == "{":
        found: dict[str, Any] = {}
        while (name := next(tokens)) != "}":
            if name != ",":
                found[name.removesuffix(":")], tokens = flow_value(tokens, None)
        return found, tokens
    if token == "[":
        items = []
        while (name := next(tokens)) != "]":
            if name != ",":
                item, tokens = flow_value(tokens, name)
                items.append(item)
        return items, tokens
    return scalar(token), tokens


def scalar(text: str) -> str:
    if text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text[1:-1] if text[0] == text[-1] == '"' else text


def depth(line: str) -> int:
    return len(line) - len(line.lstrip())
