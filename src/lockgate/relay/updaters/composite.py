"""Brings composite clients forward: their members to one height, then the agreement on it (P21).

All members are brought as far as they can be; the fewest that satisfy the rule are what is submitted. Members
that would come to hold unlike things of a height are not brought there: the ledger would freeze the client, as it
must, but whose fault it is should be looked at first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.courier.ports import Chain, Ground, Messages, NotYet, Proven, TrackedClient, Updater
from lockgate.lightclients.composite.rule import minimal_sets
from lockgate.lightclients.composite.states import AGREEMENT, ClientState, encode_agreement
from lockgate.machine.transaction import Message
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.primitives.errors import LockgateError, PeerFault, Unavailable
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.messages import update_client
from lockgate.relay.updaters.grounds import RootGround, check_proofs

ACTIVE: Final = "Active"


class RuleOutOfReach(Unavailable):
    code = "relay.rule_out_of_reach"
    summary = "Too few members of a composite client can be brought to a height to satisfy its rule; its packets wait."
    untouched = "Nothing was sent, and nothing less is ever enough; it goes on by itself when enough members can."
    next_step = "Look at what each member lacks; `lockgate client explain` says what the rule needs."


class MembersDiffer(PeerFault):
    code = "relay.members_differ"
    summary = "Members of a composite client would hold unlike things of one height."
    untouched = "Nothing was sent; an agreement on that height would freeze the client for good."
    next_step = "Compare what headers and attestors say of the height; one of them has signed what never was."


@dataclass(frozen=True, slots=True)
class CompositeGround:
    """A height that members of a satisfying set hold, or will. Meets `courier.ports.Ground`."""

    chain: Chain
    height: Height
    memo: ProofMemo
    members: tuple[tuple[ClientId, Ground], ...] = ()  # what must be brought; none where it was agreed before

    def updates(self, client: str, signer: str, /) -> list[Message]:
        if not self.members:
            return []
        brought: list[Message] = []
        for member, ground in self.members:
            brought += ground.updates(member, signer)
        return [*brought, update_client(client, AGREEMENT, encode_agreement(self.height), signer)]

    async def prove(self, store: str, keys: Sequence[bytes], /) -> list[Proven | Exception]:
        return check_proofs(self.memo, store, keys, await self.chain.prove_many(store, keys, self.height))

    def proofs(self, chosen: Sequence[Proven], /) -> list[bytes]:
        return [proven.proof for proven in chosen]


class CompositeUpdater:
    """Meets `courier.ports.Updater` for composite clients of `chain`; `members` brings those they rest on."""

    def __init__(self, chain: Chain, members: Updater) -> None:
        self._chain = chain
        self._members = members
        self._memo: tuple[bytes, ProofMemo] | None = None

    def counts(self) -> Mapping[str, int]:
        return {}

    def health(self) -> dict[str, object] | None:
        return None

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> CompositeGround:
        """As the port says. Raises RuleOutOfReach, MembersDiffer, NotYet."""
        if tracked.latest >= target:
            return self._ground(tracked.latest, tracked.consensus.root, ())
        state: ClientState = tracked.state
        found = await asyncio.gather(
            *(self._reach(member, target, now) for member in tracked.members), return_exceptions=True
        )
        grounds: dict[ClientId, RootGround] = {}
        lacking: dict[str, str] = {}
        for member, each in zip(tracked.members, found, strict=True):
            if isinstance(each, RootGround):
                grounds[member.client_id] = each
            elif isinstance(each, LockgateError):
                lacking[member.client_id] = str(each)
            elif isinstance(each, BaseException):
                raise each
        if len({(ground.timestamp, ground.root) for ground in grounds.values()}) > 1:
            raise MembersDiffer(client=tracked.client_id, height=target, members=", ".join(grounds))
        for chosen in minimal_sets(state.rule):
            if grounds.keys() >= set(chosen):
                brought = tuple((client, grounds[client]) for client in chosen)
                return self._ground(target, grounds[chosen[0]].root, brought)
        if any(isinstance(each, NotYet) for each in found):
            raise NotYet("a member waits for the height", client=tracked.client_id, height=target, lacking=lacking)
        raise RuleOutOfReach(client=tracked.client_id, height=target, lacking=lacking)

    async def _reach(self, member: TrackedClient, target: Height, now: UnixNanos) -> Ground:
        """Ground for one member at exactly this height. Raises what keeps it from there."""
        if member.status != ACTIVE:
            raise RuleOutOfReach("the member is not active", client=member.client_id, status=member.status)
        ground = await self._members.reach(member, target, now)
        if ground.height != target:  # it is ahead of the others, who may not have held what it holds
            raise NotYet("the member is ahead", client=member.client_id, height=target, at=ground.height)
        return ground

    def _ground(self, height: Height, root: bytes, members: tuple[tuple[ClientId, Ground], ...]) -> CompositeGround:
        if self._memo is None or self._memo[0] != root:
            self._memo = (root, ProofMemo(root))
        return CompositeGround(self._chain, height, self._memo[1], members)


__all__ = ("CompositeUpdater", "MembersDiffer", "Messages", "RuleOutOfReach")
