"""Root records: read as written, anything else is damage."""

from __future__ import annotations

import pytest

from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.node import EMPTY_ROOT, reader, unread
from lockgate.merkle.roots import decode_roots, encode_roots
from lockgate.merkle.snapshot import Snapshot

FILL = reader(None)
RECORD = encode_roots([("acc", Snapshot(None, FILL)), ("ibc", Snapshot(unread(77, b"h" * 32), FILL))])


def test_what_is_written_is_read() -> None:
    assert decode_roots(RECORD, 1) == {"acc": (0, EMPTY_ROOT), "ibc": (77, b"h" * 32)}


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x02" + RECORD[1:],
        RECORD + b"\x00",
        RECORD[:1] + b"\x03" + RECORD[2:],
        RECORD[:1] + b"\x01" + RECORD[2:],
        RECORD[:1] + b"\xff" * 10,
        RECORD.replace(b"ibc", b"acc"),
        RECORD.replace(b"ibc", b"\xff\xfe\xfd"),
        *(RECORD[:cut] for cut in range(1, len(RECORD), 7)),
    ],
)
def test_another_form_is_damage(record: bytes) -> None:
    with pytest.raises(NodeDamaged):
        decode_roots(record, 1)
