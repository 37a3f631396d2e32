"""A relayer over attested and composite clients: words are asked for, checked and brought; what lacks is waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.attesting import Answer, Attest, Attested, Request
from lockgate.hosting import attestor as attesting
from lockgate.hosting.attestor import AttestorService
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End
from lockgate.lightclients.attested import Attestation, ClientState, SignerSet, messages
from lockgate.lightclients.attested.errors import RotationRefused
from lockgate.lightclients.attested.messages import ATTESTATION, sign
from lockgate.primitives.ids import ClientId
from lockgate.relay import driver
from lockgate.relay.attestors import TooFewAttestors
from lockgate.relay.driver import Relayer
from lockgate.relay.rotation import NotRotated, rotate
from lockgate.relay.updaters.attested import NoAttestors
from lockgate.relay.updaters.composite import MembersDiffer, RuleOutOfReach
from tests.support.attested_lab import client_message
from tests.support.attesters import attester
from tests.support.attestors import (
    Company,
    attested_relayer,
    closing,
    follow_by_attestors,
    follow_by_rule,
    set_of,
    state_of,
)
from tests.support.relays import Pair, relaying

RULE = "{header} AND {attested}"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attesting, "WAIT_S", 0.3)
    monkeypatch.setattr(driver, "BACKOFF_S", 0.05)
    monkeypatch.setattr(driver, "BACKOFF_MAX_S", 0.2)


class World:
    """Alpha is followed by attestors on beta, or by a rule; beta by its headers on alpha."""

    def __init__(self, folder: Path, rule: str = "", count: int = 5, threshold: int = 4) -> None:
        self.pair = Pair.make(heartbeat_s=0.05)
        self.company = Company.make(self.pair, self.pair.a, folder, count, threshold)
        if rule:
            follow_by_rule(self.pair, self.company, rule)
        else:
            follow_by_attestors(self.pair, self.company)

    def status(self, client: ClientId | None = None) -> str:
        chain = self.pair.b.ledger.chain
        return chain.machine.packets.kinds.status(chain.view(), client or self.pair.b.client, chain.time)

    def relayer(self, ask_s: float = 0.6) -> Relayer:
        return attested_relayer(self.pair, self.company, ask_s=ask_s)

    def spoil(self, spoilt: Callable[[Request, AttestorService], Awaitable[Answer]] | None, *numbers: int) -> None:
        for number in numbers:
            self.company.members[number].spoil = spoilt

    def said(self, code: str) -> list[dict[str, object]]:
        return [fields for fields in self.pair.reported("unavailable") if fields["code"] == code]


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    with closing(world.company):
        async with world.pair.running():
            yield world


async def silent(request: Request, service: AttestorService) -> Answer:
    await asyncio.sleep(60)
    raise AssertionError("unreachable")


async def slow(request: Request, service: AttestorService) -> Answer:
    await asyncio.sleep(0.2)
    return await service.answer(request)


async def forger(request: Request, service: AttestorService) -> Answer:
    answer = await service.answer(request)
    return (
        Attested(answer.timestamp, answer.root, answer.key_hash, b"s" * 64) if isinstance(answer, Attested) else answer
    )


@pytest.mark.parametrize("rule", ["", RULE])
def test_packets_both_ways(tmp_path: Path, rule: str) -> None:
    async def work() -> None:
        async with running(World(tmp_path, rule)) as w, relaying(w.relayer()) as (relayer,):
            pair = w.pair
            assert pair.b.client.rpartition("-")[0] == ("composite" if rule else "attested")
            pair.send(5)
            pair.send(5, on=pair.b)
            await pair.ended(5)
            await pair.ended(5, pair.b)
            await relayer.ends[1].refresh()
            status = relayer.status()
            counters = status["counters"]
            assert (counters["received"], counters["acknowledged"]) == (10, 10)
            assert counters["attestations"] >= 1
            assert counters["failures"] == counters["signatures_dropped"] == 0
            assert status["clients"]["beta-1"]["status"] == "Active"
            by = status["clients"]["alpha-1"]["attested_by"]["attested"]
            assert len(by["attestors"]) == 5
            assert by["waits"] == ""
            assert pair.history(pair.a, "timeout_packet") == []

    asyncio.run(work())


def test_a_timeout_is_proven_over_an_attested_client(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(World(tmp_path)) as w:
            w.pair.send(2, on=w.pair.b, timeout_s=2)
            await w.pair.until(lambda: len(w.pair.open_packets(w.pair.b)) == 2)
            w.pair.clock.advance(5_000_000_000)
            async with relaying(w.relayer()):
                await w.pair.ended(2, w.pair.b)
            assert w.pair.history(w.pair.b, "timeout_packet") == [1, 2]

    asyncio.run(work())


@pytest.mark.parametrize("spoilt", [silent, slow, forger], ids=lambda f: f.__name__)
def test_one_attestor_that_is_down_slow_or_forges_delays_nobody(tmp_path: Path, spoilt: Any) -> None:
    async def work() -> None:
        async with running(World(tmp_path)) as w:
            w.spoil(spoilt, 2)
            async with relaying(w.relayer()) as (relayer,):
                w.pair.send(3)
                await w.pair.ended(3)
                assert relayer.counters.failures == 0, "the ledger saw no bad signature"
            assert w.status() == "Active"

    asyncio.run(work())


@pytest.mark.parametrize("rule", ["", RULE])
def test_below_a_quorum_the_lane_waits_says_so_and_goes_on(tmp_path: Path, rule: str) -> None:
    async def work() -> None:
        async with running(World(tmp_path, rule)) as w:
            w.spoil(silent, 2, 3)
            async with relaying(w.relayer(ask_s=0.2)) as (relayer,):
                w.pair.send(3)
                code = RuleOutOfReach.code if rule else TooFewAttestors.code
                await w.pair.until(lambda: len(w.said(code)) >= 2)
                assert w.pair.received() == [], "nothing less was enough"
                status = relayer.status()
                waits = str(status["clients"]["alpha-1"]["attested_by"]["attested"]["waits"])
                assert "3 of 4 needed; missing: operator-2, operator-3" in waits
                assert relayer.counters.failures == 0
                assert list(relayer.directions[0].quarantine.parked()) == [], "no packet is at fault"
                w.spoil(None, 2)
                await w.pair.ended(3)
                assert w.pair.history(w.pair.a, "timeout_packet") == []
            assert w.status() == "Active"

    asyncio.run(work())


def test_a_relayer_that_was_told_of_no_attestor_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(World(tmp_path)) as w, relaying(w.pair.relayer()):
            w.pair.send(1)
            await w.pair.until(lambda: bool(w.said(NoAttestors.code)))
            assert w.pair.received() == []

    asyncio.run(work())


def test_an_attestor_that_starts_again_goes_on_with_what_it_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(World(tmp_path, count=4)) as w, relaying(w.relayer()):
            w.pair.send(2)
            await w.pair.ended(2)
            before = w.company.members[1].state.newest
            assert before > 0
            w.company.members[1].state.close()
            made = w.company.hire(1)
            assert made.state.newest >= before
            await made.service.check()

    asyncio.run(work())


def test_the_set_rotates_under_traffic_and_no_packet_is_lost(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(World(tmp_path)) as w, relaying(w.relayer()) as (relayer,):
            pair = w.pair
            following = set_of((0, 1, 2, 3, 7), 4, epoch=2)
            for step in range(6):
                pair.send(3, per_tx=1)
                if step == 2:
                    w.company.accepted.append(following)
                    w.company.hire(7)
                    await _rotate(w, following)
                await asyncio.sleep(0.05)
            await pair.ended(18)
            await pair.until(lambda: relayer.ends[1].tracked is not None and _epoch(relayer) == 2)
            assert sorted(set(pair.history(pair.a, "acknowledge_packet"))) == list(range(1, 19))
            assert pair.history(pair.a, "timeout_packet") == []
            assert pair.reported("parked") == []

    asyncio.run(work())


async def _rotate(w: World, following: SignerSet) -> None:
    """By somebody with an account; what does not follow the present set is refused, and nothing is sent."""
    end, client, asked = w.pair.endpoint(w.pair.b, "somebody"), w.company.client, w.company.attestors()
    header, lower = ClientId("07-tendermint-0"), set_of(range(5), 3, epoch=2)
    for at, bad, refusal in (
        (client, set_of(range(5), 4), NotRotated),
        (client, set_of(range(5), 4, epoch=3), NotRotated),
        (client, lower, RotationRefused),
        (header, following, NotRotated),
    ):
        with pytest.raises(refusal):
            await rotate(end.chain, end.submitter, at, asked, bad)
    assert (await rotate(end.chain, end.submitter, client, asked, following)).code == 0


def _epoch(relayer: Relayer) -> int:
    tracked = relayer.ends[1].tracked
    assert tracked is not None
    return int(tracked.state.signers.epoch)


def conspiracy(of: LabLedger, state: ClientState, height: int, root: bytes = b"\x66" * 32) -> Attestation:
    """What a quorum signs when enough of it lie: a root that never was, at the time that is true."""
    header = of.chain.signed_header(height).header
    bare = Attestation(epoch=state.signers.epoch, height=of.at(height), timestamp=header.time, root=root)
    message = bare.message(state.chain_id, state.signers)
    by = sorted(sign(attester(number), state, message) for number in range(state.signers.threshold))
    return Attestation(epoch=bare.epoch, height=bare.height, timestamp=bare.timestamp, root=root, signatures=tuple(by))


def submit(pair: Pair, end: End, message: tuple[str, bytes]) -> None:
    _, result = pair.services[0 if end is pair.a else 1].submit(end.ledger.signed(end.account, [message]))
    assert result.code == 0, result.log


@pytest.mark.parametrize("rule", ["", RULE])
def test_p20_a_quorum_that_equivocates_freezes_every_client_that_rests_on_it(tmp_path: Path, rule: str) -> None:
    """Four of five lie to beta; asked for the height, the services they run say the truth: that is evidence."""

    async def work() -> None:
        async with running(World(tmp_path, rule)) as w, relaying(w.relayer()) as (relayer,):
            pair = w.pair
            pair.send(1)
            await pair.ended(1)
            attested = w.company.client
            state = state_of(pair.a.ledger, w.company.signers)
            lie = conspiracy(pair.a.ledger, state, pair.a.ledger.height)
            on = End(pair.b.ledger, pair.b.account, attested)
            submit(pair, pair.b, client_message(on, ATTESTATION, messages.encode_attestation(lie)))
            await pair.until(lambda: w.status(attested) == "Frozen")
            assert w.status() == "Frozen", "a member that was caught freezes the composite"
            await pair.until(lambda: relayer.counters.evidence >= 1)
            assert pair.reported("attested_otherwise")
            told = pair.reported("misbehaviour")
            assert {fields["client"] for fields in told} == {attested}
            named = {said["operator"] for said in pair.reported("attestor_equivocates")}
            assert named, "whoever was asked again and had lied"
            assert named <= {f"operator-{number}" for number in range(4)}, "and never the one who did not"
            await pair.until(lambda: relayer.status()["clients"]["beta-1"]["status"] == "Frozen")

    asyncio.run(work())


def test_honest_attestations_freeze_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(World(tmp_path)) as w:
            others = attested_relayer(w.pair, w.company, name="another", ask_s=0.6)
            async with relaying(w.relayer(), others) as (relayer, _):
                for _ in range(4):
                    w.pair.send(2)
                    await asyncio.sleep(0.05)
                await w.pair.ended(8)
                await w.pair.until(lambda: relayer.counters.misbehaviour_checks >= 2)
            assert w.status() == "Active"
            assert w.pair.reported("misbehaviour") == w.pair.reported("attestor_equivocates") == []

    asyncio.run(work())


def test_members_that_would_differ_are_not_brought_there(tmp_path: Path) -> None:
    """Attestors who all lie to the relayer move neither their own client nor the rule."""

    async def work() -> None:
        async with running(World(tmp_path, RULE)) as w:
            state = state_of(w.pair.a.ledger, w.company.signers)

            def lying(number: int) -> Callable[[Request, AttestorService], Awaitable[Answer]]:
                async def lie(request: Request, service: AttestorService) -> Answer:
                    if not isinstance(request, Attest):
                        return await service.answer(request)
                    made = conspiracy(w.pair.a.ledger, state, request.height.height)
                    message = made.message(state.chain_id, state.signers)
                    key_hash, signature = sign(attester(number), state, message)
                    return Attested(made.timestamp, made.root, key_hash, signature)

                return lie

            for number in range(5):
                w.spoil(lying(number), number)
            async with relaying(w.relayer()):
                w.pair.send(1)
                await w.pair.until(lambda: bool(w.pair.reported("unavailable")))
                await asyncio.sleep(0.3)
            assert w.pair.received() == []
            assert w.status() == "Active"
            codes = {fields["code"] for fields in w.pair.reported("unavailable")}
            assert codes <= {RuleOutOfReach.code, MembersDiffer.code, "relay.other_history"}

    asyncio.run(work())
