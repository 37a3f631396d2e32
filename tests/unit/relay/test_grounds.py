"""What a courier asks of any kind of client: one updater for each, and proofs made for those that travel together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from lockgate.courier.ports import Chain, Ground, Messages, Proven, TrackedClient, Updater
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import DurationNanos, UnixNanos
from lockgate.relay.kinds import OtherKind, Updaters
from lockgate.relay.updaters.attested import NoAttestors
from lockgate.relay.updaters.tendermint import NoHeaders, TendermintUpdater
from tests.support.relays import Pair, relaying


@dataclass
class Joining:
    """A ground that remembers for whom proofs were asked together; the proofs themselves are another's."""

    inner: Ground
    joined: list[int]

    @property
    def height(self) -> Height:
        return self.inner.height

    def updates(self, client: ClientId, signer: str, /) -> Messages:
        return self.inner.updates(client, signer)

    async def prove(self, store: str, keys: Sequence[bytes], /) -> Sequence[Proven | Exception]:
        return await self.inner.prove(store, keys)

    def proofs(self, chosen: Sequence[Proven], /) -> Sequence[bytes]:
        self.joined.append(len(chosen))
        return self.inner.proofs(chosen)


@dataclass
class JoiningUpdater:
    inner: Updater
    joined: list[int] = field(default_factory=list)

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> Ground:
        return Joining(await self.inner.reach(tracked, target, now), self.joined)

    def counts(self) -> Mapping[str, int]:
        return {"joined": len(self.joined)}

    def health(self) -> Mapping[str, object] | None:
        return self.inner.health()


def test_proofs_are_made_for_the_packets_of_one_transaction_and_again_for_each_half() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        async with pair.running():
            pair.send(3)
            pair.send(1, body=b"poison")  # its acknowledgement is refused on alpha
            relayer = pair.relayer()
            joined: dict[str, list[int]] = {}
            for end in relayer.ends:
                inner = JoiningUpdater(TendermintUpdater.of(end.chain, end.updater))
                joined[end.chain.chain_id] = inner.joined
                end.updater = Updaters(end.chain, {"07-tendermint": inner})
            async with relaying(relayer):
                await pair.ended(3)
            assert relayer.status()["counters"]["joined"] == sum(map(len, joined.values()))
        assert sum(joined["alpha-1"]) == 4, "each was received with proofs of its transaction"
        acknowledged = joined["beta-1"]
        assert 1 in acknowledged, "the one that is refused stands alone in the end"
        assert sum(acknowledged) > 4, "and those it was with were proven again without it"

    asyncio.run(work())


def tracked(kind: str) -> TrackedClient:
    return TrackedClient(
        client_id=ClientId(f"{kind}-0"),
        kind=kind,
        status="Active",
        chain_id="other-1",
        latest=Height(0, 1),
        latest_time=UnixNanos(1),
        trusting_period=DurationNanos(1),
    )


class NoHeaderChain:
    """A ledger that no CometBFT header is made on."""

    chain_id = "other-1"


def test_a_client_is_brought_forward_by_the_updater_of_its_kind_only() -> None:
    async def work() -> None:
        chain = cast(Chain, NoHeaderChain())
        for kind, refusal in (("07-tendermint", NoHeaders), ("08-wasm", OtherKind), ("", OtherKind)):
            with pytest.raises(refusal):
                await Updaters(chain).reach(tracked(kind), Height(0, 2), UnixNanos(2))

        class Given:
            async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> Ground:
                raise LookupError(tracked.kind)

            def counts(self) -> Mapping[str, int]:
                return {"asked": 1}

            def health(self) -> Mapping[str, object] | None:
                return {"needs": "somebody"}

        updaters = Updaters(chain, {"08-wasm": Given()})
        with pytest.raises(LookupError, match="08-wasm"):
            await updaters.reach(tracked("08-wasm"), Height(0, 2), UnixNanos(2))
        assert updaters.counts() == {"asked": 1}
        assert updaters.health() == {"08-wasm": {"needs": "somebody"}}
        with pytest.raises(NoAttestors):
            await updaters.reach(tracked("attested"), Height(0, 2), UnixNanos(2))

    asyncio.run(work())
