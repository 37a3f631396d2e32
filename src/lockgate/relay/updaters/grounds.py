"""Ground under one root: a height of a ledger whose proofs are ICS-23, and what brings a client to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.courier.ports import Chain, Proven
from lockgate.machine.transaction import Message
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.messages import update_client


class OtherHistory(PeerFault):
    code = "relay.other_history"
    summary = "A node shows another header than the one the client on the other ledger trusts at that height."
    untouched = "No update was sent."
    next_step = "Compare the node with another one; if both headers are signed, the misbehaviour watch submits them."


@dataclass(frozen=True, slots=True)
class RootGround:
    """A height that the client knows, or will once `brought` is submitted. Meets `courier.ports.Ground`."""

    chain: Chain
    height: Height
    timestamp: UnixNanos
    root: bytes
    memo: ProofMemo
    brought: tuple[tuple[str, bytes], ...] = ()  # client messages: type URL and value, in the order of submission

    def updates(self, client: str, signer: str, /) -> list[Message]:
        return [update_client(client, kind, value, signer) for kind, value in self.brought]

    async def prove(self, store: str, keys: Sequence[bytes], /) -> list[Proven | Exception]:
        return check_proofs(self.memo, store, keys, await self.chain.prove_many(store, keys, self.height))

    def proofs(self, chosen: Sequence[Proven], /) -> list[bytes]:
        return [proven.proof for proven in chosen]


def check_proofs(
    memo: ProofMemo, store: str, keys: Sequence[bytes], found: Sequence[Proven | Exception]
) -> list[Proven | Exception]:
    """Each proof under the root of `memo`; one that does not hold is that packet's failure, never the batch's."""
    checked: list[Proven | Exception] = []
    name = store.encode()
    for key, proven in zip(keys, found, strict=True):
        if isinstance(proven, Exception):
            checked.append(proven)
            continue
        try:
            if proven.value is None:
                memo.non_membership(proven.proof, (name, key))
            else:
                memo.membership(proven.proof, (name, key), proven.value)
        except LockgateError as refusal:
            checked.append(refusal)
        else:
            checked.append(proven)
    return checked


__all__ = ("OtherHistory", "RootGround", "check_proofs")
