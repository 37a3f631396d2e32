"""An attestor signs what its own light client verified, once for a height, for sets its operator accepted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.attesting import (
    Answer,
    Attest,
    Attested,
    AttestorUnusable,
    HandedOver,
    HandOver,
    Known,
    NotAttested,
    Who,
    encode_request,
    holds,
)
from lockgate.hosting import attestor as attesting
from lockgate.hosting.attestor import Lapsed, NotFinal, UnknownSet
from lockgate.hosting.attestor_server import AttestorBusy, AttestorServer
from lockgate.lightclients.attested import Attestation, Rotation
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.relay.attestors import Attestor, AttestorSilent
from lockgate.relay.rpc import Calls
from lockgate.storage.attested import AttestedState, SaidOtherwise
from lockgate.transport import tcp, unix
from tests.support.attestors import Company, Member, set_of, state_of
from tests.support.forgery import forged
from tests.support.relays import START, FaultyRpc, Pair


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attesting, "WAIT_S", 0.2)


class World:
    """A ledger of some blocks, and one attestor of it."""

    def __init__(self, folder: Path) -> None:
        self.pair = Pair.make(heartbeat_s=0.05)
        self.company = Company.make(self.pair, self.pair.a, folder, 3, 2)
        self.one: Member = self.company.members[0]
        self.ledger = self.pair.a.ledger
        for _ in range(4):
            self.ledger.block()

    async def attest(self, height: int, signers: bytes | None = None, revision: int = 1) -> Answer:
        return await self.one.service.answer(Attest(signers or self.company.signers.hash, Height(revision, height)))

    def said(self) -> int:
        return self.one.state.newest


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    made = World(folder)
    try:
        yield made
    finally:
        made.company.close()


def run(folder: Path, test: Any) -> None:
    async def within() -> None:
        async with world(folder) as made:
            await test(made)

    asyncio.run(within())


def refusal(answer: Answer) -> str:
    assert isinstance(answer, NotAttested), answer
    return answer.code


def test_a_height_is_attested_as_its_header_says(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        height = w.ledger.height
        answer = await w.attest(height)
        header = w.ledger.chain.signed_header(height).header
        assert isinstance(answer, Attested)
        assert (answer.timestamp, answer.root) == (header.time, header.app_hash)
        state = state_of(w.ledger, w.company.signers)
        bare = Attestation(epoch=1, height=w.ledger.at(height), timestamp=header.time, root=header.app_hash)
        message = bare.message(state.chain_id, w.company.signers)
        assert holds(state, w.company.signers, message, answer.key_hash, answer.signature)
        assert w.said() == height
        known = await w.one.service.answer(Who())
        assert isinstance(known, Known)
        assert (known.chain_id, known.newest, known.key_hash) == ("alpha-1", w.ledger.at(height), answer.key_hash)

    run(tmp_path, test)


def test_nothing_above_the_depth_is_signed(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        w.one.service = w.company.service(0, w.one.state, depth=2)
        deepest = w.ledger.height - 2
        assert refusal(await w.attest(deepest + 1)) == NotFinal.code
        assert w.said() == 0
        assert isinstance(await w.attest(deepest), Attested)
        assert refusal(await w.attest(deepest, revision=2)) == NotFinal.code
        assert refusal(await w.attest(deepest + 1_000)) == NotFinal.code

    run(tmp_path, test)


def test_a_block_that_is_about_to_come_is_waited_for(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        asked = asyncio.create_task(w.attest(w.ledger.height + 1))
        await asyncio.sleep(0.05)
        assert not asked.done()
        w.ledger.block()
        assert isinstance(await asked, Attested)

    run(tmp_path, test)


def test_a_header_its_own_light_client_does_not_believe_is_not_signed(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        height = w.ledger.height

        def lie(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
            if method == "commit" and params.get("height") == str(height):
                result["signed_header"]["header"]["app_hash"] = "55" * 32
            return result

        rpc: Calls = FaultyRpc(w.pair.rpc(w.pair.a), spoil=lie)
        w.one.service = w.company.service(0, w.one.state, rpc)
        assert refusal(await w.attest(height)) not in {"", UnknownSet.code}
        assert w.said() == 0, "nothing was signed"

    run(tmp_path, test)


def test_a_second_root_of_a_height_is_not_signed_even_where_the_ledger_signed_it(tmp_path: Path) -> None:
    """The ledger's own validators signed another header; after a start from disk a node shows that one."""

    async def test(w: World) -> None:
        height = w.ledger.height
        assert isinstance(await w.attest(height), Attested)
        chain = w.ledger.chain
        twin = LightBlock(forged(w.ledger, height), chain.validators, chain.validators)

        class Twin:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

            async def light_block(self, asked: int) -> Any:
                return twin if asked == height else await self.inner.light_block(asked)

        w.one.state.close()
        member = w.company.hire(0)
        w.one = member
        member.service._reader.chain = Twin(member.service._reader.chain)
        assert refusal(await w.attest(height)) == SaidOtherwise.code
        with pytest.raises(SaidOtherwise):
            await member.service.check()
        assert isinstance(await w.attest(height - 1), Attested)

    run(tmp_path, test)


def test_it_signs_for_sets_its_operator_accepted_and_its_key_is_of(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        height = w.ledger.height
        stranger, lapsed = set_of((1, 2), 2), set_of((0, 1), 2, until=UnixNanos(START + seconds(1)))
        w.pair.clock.advance(seconds(2))
        for signers, code in ((stranger, UnknownSet.code), (lapsed, Lapsed.code)):
            assert refusal(await w.attest(height, signers.hash)) == UnknownSet.code
            w.company.accepted.append(signers)
            assert refusal(await w.attest(height, signers.hash)) == code
        assert w.said() == 0
        other = set_of((0, 1, 2, 3), 3)
        w.company.accepted.append(other)
        assert isinstance(await w.attest(height, other.hash), Attested), "it is read again when a set is not known"

    run(tmp_path, test)


def test_it_hands_over_to_an_accepted_set_that_asks_for_no_less(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        present = w.company.signers
        good = set_of((0, 1, 3), 2, epoch=2)
        bad = {"skips": set_of((0, 1, 2), 2, epoch=3), "lower": set_of((0, 1), 2, epoch=2)}
        ask = w.one.service.answer
        assert refusal(await ask(HandOver(present.hash, good.hash))) == UnknownSet.code
        w.company.accepted += [good, *bad.values()]
        for each in bad.values():
            assert isinstance(await ask(HandOver(present.hash, each.hash)), NotAttested)
        answer = await ask(HandOver(present.hash, good.hash))
        assert isinstance(answer, HandedOver)
        state = state_of(w.ledger, present)
        message = Rotation(following=good).message(state.chain_id, present)
        assert holds(state, present, message, answer.key_hash, answer.signature)

    run(tmp_path, test)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_it_is_asked_over_a_socket(tmp_path: Path, kind: str) -> None:
    async def test(w: World) -> None:
        listener = unix.listen(tmp_path / "a.sock") if kind == "unix" else tcp.listen()
        name = f"unix:{tmp_path / 'a.sock'}" if kind == "unix" else f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        server = AttestorServer(w.one.service.answer)
        await server.listen([listener])
        try:
            asked = Attestor(name)
            request = Attest(w.company.signers.hash, w.ledger.at(w.ledger.height))
            answers = await asyncio.gather(*(asked.ask(request) for _ in range(5)))
            assert all(isinstance(answer, Attested) for answer in answers)
            assert isinstance(await asked.ask(Who()), Known)
        finally:
            await server.close()
        with pytest.raises(AttestorSilent):
            await asked.ask(Who())

    run(tmp_path, test)


async def _raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def test_a_hostile_connection_is_bounded(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        path = tmp_path / "a.sock"
        server = AttestorServer(w.one.service.answer, max_sessions=2, idle_s=0.3)
        await server.listen([unix.listen(path)])
        try:
            for data in (b"\xff" * 8, b"\x00\x00\x00\x00", b"\x00\x00\x00\x01\xff"):
                assert AttestorUnusable.code.encode() in await _raw(path, data)
            assert await _raw(path, encode_request(Who())[:-1]) == b"", "a request that does not come is not waited for"
            held = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
            await asyncio.sleep(0.05)
            assert AttestorBusy.code.encode() in await _raw(path, b"")
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.05)
            assert isinstance(await Attestor(f"unix:{path}").ask(Who()), Known)
        finally:
            await server.close()

    run(tmp_path, test)


def test_a_socket_that_answers_nonsense_is_no_attestor(tmp_path: Path) -> None:
    async def test() -> None:
        async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(4)
            writer.write(b"\xff" * 64)
            await writer.drain()
            writer.close()

        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(nonsense, sock=listener)
        async with server:
            with pytest.raises(AttestorUnusable):
                await Attestor(f"tcp:127.0.0.1:{listener.getsockname()[1]}").ask(Who())

    asyncio.run(test())


def test_the_record_is_written_before_the_signature_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(w: World) -> None:
        def fails(*_: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(AttestedState, "record", fails)
        with pytest.raises(OSError, match="no space"):
            await w.attest(w.ledger.height)

    run(tmp_path, test)
