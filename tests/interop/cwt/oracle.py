"""Reads and writes tokens with the library `cwt`, in its own environment: JSON on standard input and output.

    {"read": TOKEN, "key": PUBLIC, "kid": KID, "external": AAD}   the claims, by label, bytes as hex
    {"write": CLAIMS, "seed": PRIVATE, "key": PUBLIC, "protected": …, …}   a COSE_Sign1 under tag 61

All byte strings are hex. Uses nothing of Lockgate.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import cbor2
import cwt


def shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return {str(label): shown(each) for label, each in value.items()} if isinstance(value, dict) else value


def main() -> None:
    asked = json.load(sys.stdin)
    external, kid = bytes.fromhex(asked["external"]), bytes.fromhex(asked["kid"])
    key = {1: 1, 2: kid, 3: -8, -1: 6, -2: bytes.fromhex(asked["key"])}
    context = cwt.COSE.new(alg_auto_inclusion=False, kid_auto_inclusion=False)
    if "read" in asked:
        token = cbor2.loads(bytes.fromhex(asked["read"]))
        assert token.tag == 61
        payload = context.decode(token.value, cwt.COSEKey.new(key), external_aad=external)
        claims = cbor2.loads(payload)
        parsed = cwt.Claims.new({label: each for label, each in claims.items() if label in range(1, 9)})
        out: Any = {"claims": shown(claims), "iss": parsed.iss, "exp": parsed.exp}
    else:
        private = cwt.COSEKey.new({**key, -4: bytes.fromhex(asked["seed"])})
        claims = cbor2.loads(bytes.fromhex(asked["write"]))
        protected = cbor2.loads(bytes.fromhex(asked["protected"]))
        payload = cbor2.dumps(claims, canonical=True)
        signed = context.encode_and_sign(payload, private, protected=protected, external_aad=external)
        out = {"token": (b"\xd8\x3d" + signed).hex()}
    json.dump(out, sys.stdout)


main()
