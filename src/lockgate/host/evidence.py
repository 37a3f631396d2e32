"""Evidence documents: what was found, as bytes that anybody can check (P1, P8, P20).

Deterministic CBOR maps with text keys. Headers are `SignedHeader` in protobuf, each
with the validators that signed it. The shapes are in docs/spec/execution.md.
CDDL: `cddl/evidence.1.0.cddl`.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec import cbor
from lockgate.host.recovery import OnLedger, Saved
from lockgate.lightclients.cometbft import encoding
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.follower import Equivocation
from lockgate.primitives.ids import DomainId

FORMAT: Final = "lockgate/evidence/1"


def two_histories(chain_id: str, domain: DomainId, found: Equivocation) -> bytes:
    """Two headers of one ledger that exclude each other, and the trusted one both verify from."""
    return cbor.encode(
        {
            "format": FORMAT,
            "kind": "two-histories",
            "chain": chain_id,
            "domain": domain,
            "trusted": _block(found.trusted),
            "first": _block(found.first),
            "second": _block(found.second),
        }
    )


def fenced_off(endpoint: bytes, saved: Saved, proven: OnLedger, block: LightBlock, state: bytes, proof: bytes) -> bytes:
    """Another copy has acted: both roots and fences, and the proof of what the ledger holds."""
    return cbor.encode(
        {
            "format": FORMAT,
            "kind": "fenced-off",
            "endpoint": endpoint,
            "saved": {
                "root": saved.committed_root,
                "staged": saved.staged_root,
                "fence": saved.fence,
            },
            "ledger": {"root": proven.root, "fence": proven.fence, "height": proven.height},
            "header": _block(block),
            "state": state,
            "proof": proof,
        }
    )


def _block(block: LightBlock) -> list[bytes]:
    """[hash, signed header, validators], the last two in protobuf."""
    return [
        header_hash(block.header),
        encoding.signed_header(block.signed_header),
        encoding.validator_set(block.validators),
    ]


__all__ = ("FORMAT", "fenced_off", "two_histories")
