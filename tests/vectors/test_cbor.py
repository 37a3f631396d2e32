"""Third-party CBOR cases: RFC 8949, CDE and dCBOR. Cases are found by the fields they carry."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockgate.codec import cbor, cbor_modes
from lockgate.codec.cbor import Tag
from lockgate.codec.errors import CborIllFormed, Malformed
from tests.vectors.diagnostic import parse
from tests.vectors.sets import Tally, vector_set

RFC8949 = "rfc8949"


def test_rfc8949() -> None:
    """Well-formed items decode to the stated value and re-encode; ill-formed ones are refused."""
    tally = Tally("cbor", RFC8949)
    cases = list(json_cases(vector_set("cbor", RFC8949)))
    ill_formed = {case["hex"] for _, case in cases if "roundtrip" not in case}
    for name, case in cases:
        data = bytes.fromhex(case["hex"])
        if "roundtrip" not in case:
            tally.check(refused(cbor_modes.decode, data) and refused(cbor.decode, data), name)
        elif case["hex"] in ill_formed:
            assert refused(cbor_modes.decode, data)
            tally.absent("an RFC 7049 example that RFC 8949, and the set's own failures, call ill-formed")
        else:
            value = cbor_modes.decode(data)
            again = not case["roundtrip"] or cbor_modes.encode_preferred(value) == data
            tally.check(again and same(value, expected(case)) and data == base64.b64decode(case["cbor"]), name)
    tally.close()


def test_cde() -> None:
    """Deterministic encodings round-trip and pass the checking decoder; the others are caught."""
    tally = Tally("cbor", "cde")
    for path in sorted(vector_set("cbor", "cde").iterdir()):
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file)):
                kind, text, encoding, *_ = row
                tally.check(cde_case(kind, text, bytes.fromhex(encoding)), f"{path.name}:{number}")
    tally.close()


def cde_case(kind: str, text: str, data: bytes) -> bool:
    if kind == "bad":
        return refused(cbor_modes.decode_cde, data) and refused(cbor.decode, data)
    value = parse(text)
    decoded = cbor_modes.decode_cde(data)
    # The text "NaN" does not carry a payload: there the decoded value stands for it.
    stated = decoded if isinstance(value, float) and math.isnan(value) else value
    return same(decoded, value) and cbor_modes.encode_cde(stated) == data


def test_dcbor() -> None:
    """Valid items are encodings of the stated value; invalid ones are well formed and refused."""
    tally = Tally("cbor", "dcbor")
    for name, case in json_cases(vector_set("cbor", "dcbor")):
        data = bytes.fromhex(case["hex"])
        if "cbor" not in case:
            tally.check(well_formed(data) and refused(cbor_modes.decode_dcbor, data), name)
            continue
        stated = expected(case)
        good = same(cbor_modes.decode_dcbor(data), stated) and cbor_modes.encode_dcbor(stated) == data
        tally.check(good and data == base64.b64decode(case["cbor"]), name)
    tally.close()


def json_cases(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.iterdir()):
        for number, case in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            yield f"{path.name}:{number}", case


def refused(decode: Any, data: bytes) -> bool:
    try:
        decode(data)
    except Malformed:
        return True
    return False


def well_formed(data: bytes) -> bool:
    try:
        cbor_modes.decode(data)
    except CborIllFormed:
        return False
    except Malformed:  # well formed and not valid: a key twice
        pass
    return True


def expected(case: dict[str, Any]) -> Any:
    """Return the stated value: as JSON where JSON can say it, else in diagnostic notation."""
    return case["decoded"] if "decoded" in case else parse(case["diagnostic"])


def same(value: Any, stated: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return isinstance(stated, float) and math.isnan(stated)
    if isinstance(value, tuple) and isinstance(stated, (list, tuple)):
        return len(value) == len(stated) and all(map(same, value, stated))
    if isinstance(value, dict) and isinstance(stated, dict):
        return value.keys() == stated.keys() and all(same(value[key], stated[key]) for key in value)
    if isinstance(value, Tag) and isinstance(stated, Tag):
        return value.number == stated.number and same(value.value, stated.value)
    return bool(value == stated) and isinstance(value, bool) == isinstance(stated, bool)
