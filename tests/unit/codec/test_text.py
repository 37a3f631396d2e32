"""Text means the same on every Python: the pinned code points keep their normal forms."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from lockgate.codec.text import PINNED_UNICODE, is_stable_nfc

# All that are not private use: planes 15 and 16 would make the test slow and hold nothing else.
CODE_POINTS = [chr(code) for code in range(0xF0000) if not 0xD800 <= code < 0xF900]
# SHA-256 over (NFD, combining class, NFC) of each pinned code point; equal on Python 3.11, 3.12 and 3.13.
NORMAL_FORMS = "af22a358d29039912b6fa50c339c5fe64b24e6827fe8d0f80ffc84a7727d399e"


def test_pinned_set_and_its_normal_forms() -> None:
    """The set is Unicode 14.0's, and on any later Python every form in it is still the same."""
    digest = hashlib.sha256()
    newer = unicodedata.unidata_version != PINNED_UNICODE
    for char in CODE_POINTS:
        composed = unicodedata.normalize("NFC", char)
        pinned = is_stable_nfc(composed)
        assigned = unicodedata.category(char) != "Cn"
        assert pinned == assigned or (newer and assigned)
        if pinned:
            forms = unicodedata.normalize("NFD", char).encode(), composed.encode()
            digest.update(forms[0] + bytes([unicodedata.combining(char)]) + forms[1])
    assert digest.hexdigest() == NORMAL_FORMS


@pytest.mark.parametrize("text", ["", "plain", "é", "水", "\U0001f600", "\u1100\u3042", "\ue000"])
def test_stable(text: str) -> None:
    assert is_stable_nfc(text)


@pytest.mark.parametrize(
    "text",
    [
        "e\u0301",  # composes
        "\u212b",  # ANGSTROM SIGN stands for another letter
        "a\u0301\u0316",  # marks out of order
        "\u0378",  # never assigned yet
        "\U0001fae8",  # assigned in 15.0
        "\U00011f00",  # assigned in 15.0, a combining mark
        "\uffff",  # noncharacter
    ],
)
def test_unstable(text: str) -> None:
    assert not is_stable_nfc(text)
