"""An attestor for EVM contracts behind its socket: what it signs, and what it refuses in words (C1, B5)."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lockgate.courier.attesting import Attest, Known, NotAttested, Who
from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver, leaves_of, statement_of
from lockgate.crypto.recoverable import EvmKey, Recoverable, recover
from lockgate.hosting.attestor import NotServed
from lockgate.hosting.attestor_server import AttestorServer
from lockgate.hosting.evm_attestor import Contract, StatementSigner
from lockgate.hosting.reader import ProvenReader
from lockgate.ibc import host
from lockgate.lightclients.evm_attestation import Binding, Member, SigningSet
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.attestors import Attestor, AttestorSilent
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.evm_attestors import AttestorRefuses, EvmAttestors, SocketAttestor, TooFewEvmAttestors
from lockgate.storage.attested import AttestedState
from lockgate.transport import unix
from tests.support.attestors import fingerprint
from tests.support.relays import Pair

KEYS = [EvmKey(bytes([number + 1]) * 32) for number in range(3)]
MEMBERS = tuple(Member(number + 1, key.address, 1) for number, key in enumerate(KEYS))
FOLLOWING = SigningSet(MEMBERS, 2, 2, UnixSeconds(1_900_000_000))


@dataclass
class World:
    """A running ledger, and three attestors of it behind sockets."""

    pair: Pair
    folder: Path
    contracts: list[Contract] = field(default_factory=list)
    following: list[tuple[int, SigningSet]] = field(default_factory=list)
    states: list[AttestedState] = field(default_factory=list)
    servers: list[AttestorServer] = field(default_factory=list)

    def chain(self) -> CometBftChain:
        return CometBftChain(self.pair.rpc(self.pair.a), "alpha-1")

    @property
    def ledger_domain(self) -> bytes:
        return self.pair.a.ledger.genesis.domain_id

    @property
    def binding(self) -> Binding:
        return Binding(chain_id=1, contract=b"\x0a" * 20, client_id="client-0", source=self.ledger_domain)

    @property
    def asked(self) -> list[SocketAttestor]:
        return [SocketAttestor(f"unix:{self.folder}/{number}") for number in range(len(KEYS))]

    async def serve(self) -> None:
        self.contracts.append((1, b"\x0a" * 20, "client-0"))
        for number, key in enumerate(KEYS):
            path = self.folder / f"{number}.said"
            AttestedState.create(path, self.ledger_domain)
            self.states.append(AttestedState.open(path, self.ledger_domain))
            reader = ProvenReader(self.chain(), fingerprint(self.pair.a.ledger).follower(), self.pair.clock)
            signer = StatementSigner(
                f"operator {number}",
                reader,
                key,
                self.states[-1],
                lambda: self.contracts,
                self.ledger_domain,
                lambda *_: None,
                lambda: self.following,
            )
            server = AttestorServer(signer.answer)
            await server.listen([unix.listen(self.folder / str(number))])
            self.servers.append(server)

    async def close(self) -> None:
        for server in self.servers:
            await server.close()
        for state in self.states:
            state.close()

    def request(self) -> EvmAttest:
        height = self.pair.a.ledger.height - 1
        keys = (host.packet_commitment("07-tendermint-0", 1), host.packet_receipt("07-tendermint-0", 9))
        return EvmAttest(self.binding, 1, Height(1, height), keys)


def run(work: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        pair, folder = Pair.make(heartbeat_s=0.05), Path(tempfile.mkdtemp())
        world = World(pair, folder)
        try:
            async with asyncio.timeout(60), pair.running():
                await world.serve()
                await work(world)
        finally:
            await world.close()
            shutil.rmtree(folder)

    asyncio.run(main())


def test_a_quorum_is_collected_over_sockets() -> None:
    async def work(world: World) -> None:
        request = world.request()
        block = await world.chain().light_block(request.height.height)
        header = block.header
        leaves = leaves_of(request.keys, (None, None))
        statement = statement_of(1, request.height, header.time, header.app_hash, leaves)
        attestors = EvmAttestors(world.asked, lambda *_: None)
        signed = await attestors.sign(request, statement, MEMBERS, 2, 2)
        assert len(signed) == 2
        assert attestors.health()["waits"] == ""
        for one in signed:
            vs = int.from_bytes(one.vs)
            signature = Recoverable(int.from_bytes(one.r), vs & (1 << 255) - 1, bool(vs >> 255))
            assert recover(statement.digest(world.binding), signature) == KEYS[one.position].address

    run(work)


def test_c1_what_the_operator_has_not_accepted_is_refused_in_words() -> None:
    async def work(world: World) -> None:
        request = world.request()
        world.contracts.clear()
        with pytest.raises(AttestorRefuses, match=r"attestor\.unknown_contract"):
            await world.asked[0].attest(request)
        world.contracts.append((1, b"\x0a" * 20, "client-0"))
        assert isinstance(await world.asked[0].attest(request), EvmAttested), "it is read again for each"
        stranger = replace(request, binding=replace(world.binding, source=b"\x01" * 32))
        with pytest.raises(AttestorRefuses, match=r"attestor\.unknown_contract"):
            await world.asked[0].attest(stranger)

    run(work)


def test_b5_below_a_quorum_the_missing_are_named() -> None:
    async def work(world: World) -> None:
        request = world.request()
        gone = SocketAttestor(f"unix:{world.folder}/nobody")
        with pytest.raises(AttestorSilent):
            await gone.attest(request)
        header = (await world.chain().light_block(request.height.height)).header
        leaves = leaves_of(request.keys, (None, None))
        statement = statement_of(1, request.height, header.time, header.app_hash, leaves)
        attestors = EvmAttestors([world.asked[0], gone], lambda *_: None)
        with pytest.raises(TooFewEvmAttestors):
            await attestors.sign(request, statement, MEMBERS, 2, 2)
        assert attestors.health()["waits"] == "1 of 2 in weight, 1 of 2 operators"

    run(work)


def test_a_rotation_is_signed_to_an_accepted_set_of_the_next_epoch_alone() -> None:
    async def work(world: World) -> None:
        request = EvmHandOver(world.binding, 1, FOLLOWING)
        attestors = EvmAttestors(world.asked, lambda *_: None)
        with pytest.raises(TooFewEvmAttestors) as few:
            await attestors.hand_over(request, MEMBERS, 2, 2)
        assert "attestor.unknown_set" in str(few.value.fields["said"])
        world.following.append((2, FOLLOWING))
        assert len(await attestors.hand_over(request, MEMBERS, 2, 2)) == 2
        for other in (
            replace(request, epoch=2),
            replace(request, following=replace(FOLLOWING, threshold=1)),
            replace(request, binding=replace(world.binding, chain_id=2)),
        ):
            with pytest.raises(TooFewEvmAttestors):
                await attestors.hand_over(other, MEMBERS, 2, 2)

    run(work)


def test_another_clients_request_is_not_served() -> None:
    async def work(world: World) -> None:
        for request in (Who(), Attest(bytes(32), Height(1, 2))):
            answer = await Attestor(world.asked[0].name).ask(request)
            assert isinstance(answer, NotAttested), answer
            assert not isinstance(answer, Known)
            assert answer.code == NotServed.code

    run(work)
