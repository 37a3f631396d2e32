"""Raw (block) snappy, read. Source: google/snappy format_description.txt."""

from __future__ import annotations


def decompress(data: bytes) -> bytes:
    size, at = _uvarint(data)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, upper = tag & 3, tag >> 2
        if kind == 0:
            length = upper + 1
            if upper >= 60:
                width = upper - 59
                length = int.from_bytes(data[at : at + width], "little") + 1
                at += width
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, offset = (upper & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, offset = upper + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        if not 0 < offset <= len(out):
            raise ValueError("a copy from before the beginning")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError("another length than announced")
    return bytes(out)


def _uvarint(data: bytes) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, place + 1
    raise ValueError("no length")
