"""Reads CBOR diagnostic notation (RFC 8949 section 8), as third-party case sets write it."""

from __future__ import annotations

import json
import re
from typing import Any

from lockgate.codec.cbor import Tag
from lockgate.codec.cbor_modes import Simple

WORDS = {"true": True, "false": False, "null": None, "undefined": Simple(23)}
TOKEN = re.compile(
    r"""\s*(?:
    (?P<bytes>h'[0-9a-fA-F]*') | (?P<text>"(?:[^"\\]|\\.)*") |
    (?P<number>-?(?:Infinity|NaN|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)) |
    (?P<word>[a-z]+) | (?P<hint>_\d?) | (?P<mark>[\[\]{}(),:])
    )""",
    re.VERBOSE,
)


def parse(text: str) -> Any:
    """Return the value `text` denotes; encoding hints (`_1`, `_`) are read and dropped."""
    tokens = [token for token in _tokens(text) if token[0] != "hint"]
    value, rest = _item(tokens)
    assert not rest, f"text follows the value: {text}"
    return value


Token = tuple[str, str]


def _tokens(text: str) -> list[Token]:
    found = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None, f"not diagnostic notation at {at}: {text}"
        assert match.lastgroup is not None
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def _item(tokens: list[Token]) -> tuple[Any, list[Token]]:
    (kind, text), rest = tokens[0], tokens[1:]
    if kind == "bytes":
        return bytes.fromhex(text[2:-1]), rest
    if kind == "text":
        return json.loads(text), rest
    if kind == "word" and text == "simple":
        (number,), rest = _items(rest[1:], ")")
        return Simple(number), rest
    if kind == "word":
        return WORDS[text], rest
    if kind == "number":
        if rest[:1] == [("mark", "(")]:
            (content,), rest = _items(rest[1:], ")")
            return Tag(int(text), content), rest
        return (int(text) if text.lstrip("-").isdigit() else float(text)), rest
    if text == "[":
        return _items(rest, "]")
    if text == "(":
        chunks, rest = _items(rest, ")")
        return (b"" if isinstance(chunks[0], bytes) else "").join(chunks), rest
    assert text == "{", f"unexpected {text}"
    flat, rest = _items(rest, "}")
    return dict(zip(flat[::2], flat[1::2], strict=True)), rest


def _items(tokens: list[Token], end: str) -> tuple[tuple[Any, ...], list[Token]]:
    items = []
    while tokens[0] != ("mark", end):
        value, tokens = _item(tokens)
        items.append(value)
        if tokens[0] in (("mark", ","), ("mark", ":")):
            tokens = tokens[1:]
    return tuple(items), tokens[1:]
