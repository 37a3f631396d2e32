"""Bytes to checked values and back. Everything a peer sends passes through here first.

- `cbor`: the deterministic profile on our wire; `cbor_modes`: all of CBOR, CDE and dCBOR
- `registry`: schema id and version to reader and writer; CDDL texts in `cddl/`
- `protobuf`: typed parsing, canonical originals, varints, `Any`; `wire/`: generated messages
- `type_urls`: type URLs and query paths of the standards
- `abi`: Solidity ABI, strict and canonical; `rlp`: Ethereum's nested byte strings, strict
- `text`: which text has the same normal form everywhere
- `errors`: `Malformed` and its kinds
"""

__all__ = ("abi", "cbor", "cbor_modes", "errors", "protobuf", "registry", "rlp", "text", "type_urls", "wire")
