"""Bech32: the strings of BIP 173 and of the standards, rebuilt from their bytes."""

from __future__ import annotations

import pytest

from lockgate.codec import bech32
from lockgate.codec.errors import Unencodable


@pytest.mark.parametrize(
    ("prefix", "data", "text"),
    [
        ("a", "", "a12uel5l"),  # BIP 173, valid strings
        ("?", "", "?1ezyfcl"),
        (
            "abcdef",
            "00443214c74254b635cf84653a56d7c675be77df",
            "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        ),
        # ICS-20: the escrow account of (transfer, channel-141) on a Cosmos chain
        ("cosmos", "352bf5cc8839ecfccb763916e1ddb1faf67a9b37", "cosmos1x54ltnyg88k0ejmk8ytwrhd3ltm84xehrnlslf"),
    ],
)
def test_known_strings(prefix: str, data: str, text: str) -> None:
    assert bech32.encode(prefix, bytes.fromhex(data)) == text


@pytest.mark.parametrize("prefix", ["", "Cosmos", "with space", "é", "x" * 84])
def test_other_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(Unencodable):
        bech32.encode(prefix, b"")
