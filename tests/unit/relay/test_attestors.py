"""The collector: all are asked at once, what does not hold is dropped and named, and nothing less is ever enough."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.courier.attesting import Answer, Attest, Attested, HandedOver, Known, NotAttested, Request
from lockgate.hosting import attestor as attesting
from lockgate.hosting.attestor import AttestorService
from lockgate.lightclients.attested import Attestation, ClientState
from lockgate.lightclients.attested.messages import sign
from lockgate.lightclients.attested.quorum import check_quorum
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.attestors import Attestors, AttestorSilent, TooFewAttestors
from tests.support.attesters import attester
from tests.support.attestors import Company, closing, set_of, state_of
from tests.support.relays import Pair

ASK_S = 0.6
Spoil = Callable[[Request, AttestorService], Awaitable[Answer]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attesting, "WAIT_S", 0.1)


class World:
    """Five attestors of a ledger, of whom four are needed."""

    def __init__(self, folder: Path, threshold: int = 4) -> None:
        self.pair = Pair.make()
        self.company = Company.make(self.pair, self.pair.a, folder, 5, threshold)
        self.ledger = self.pair.a.ledger
        self.ledger.block()
        self.state: ClientState = state_of(self.ledger, self.company.signers)
        self.height = self.ledger.at(self.ledger.height)
        self.asked = self.company.attestors(ASK_S)

    async def attest(self) -> Attestation:
        return await self.asked.attest(self.state, self.height, self.ledger.chain.time)

    def spoil(self, spoilt: Spoil, *numbers: int) -> None:
        for number in numbers:
            self.company.members[number].spoil = spoilt

    def shown(self) -> dict[str, str]:
        each: Any = self.asked.health()["attestors"]
        return {one["attestor"]: one["state"] for one in each}


async def silent(request: Request, service: AttestorService) -> Answer:
    await asyncio.sleep(60)
    raise AssertionError("unreachable")


async def away(request: Request, service: AttestorService) -> Answer:
    raise AttestorSilent("no such socket")


async def wrong_signature(request: Request, service: AttestorService) -> Answer:
    answer = await service.answer(request)
    assert isinstance(answer, Attested)
    return dataclasses.replace(answer, signature=bytes(len(answer.signature)))


async def anothers_name(request: Request, service: AttestorService) -> Answer:
    answer = await service.answer(request)
    assert isinstance(answer, Attested)
    return dataclasses.replace(answer, key_hash=attester(0).key.hash)


async def a_stranger(request: Request, service: AttestorService) -> Answer:
    return Attested(UnixNanos(1), b"\x01" * 32, attester(9).key.hash, b"s" * 64)


async def another_answer(request: Request, service: AttestorService) -> Answer:
    return Known("alpha-1", b"\x01" * 32, b"\x02" * 32, Height(1, 1))


async def refusing(request: Request, service: AttestorService) -> Answer:
    return NotAttested("attestor.not_final", "asked=1-9")


def lying(number: int, state: ClientState) -> Spoil:
    """Signs, with its own key, a root that never was."""

    async def lie(request: Request, service: AttestorService) -> Answer:
        assert isinstance(request, Attest)
        root = b"\x66" * 32
        bare = Attestation(epoch=state.signers.epoch, height=request.height, timestamp=UnixNanos(10**18), root=root)
        key_hash, signature = sign(attester(number), state, bare.message(state.chain_id, state.signers))
        return Attested(UnixNanos(10**18), root, key_hash, signature)

    return lie


def run(folder: Path, test: Callable[[World], Awaitable[None]], threshold: int = 4) -> None:
    async def within() -> None:
        w = World(folder, threshold)
        with closing(w.company):
            await test(w)

    asyncio.run(within())


def check(w: World, made: Attestation) -> None:
    message = made.message(w.state.chain_id, w.company.signers)
    check_quorum(w.state, w.company.signers, message, made.signatures, w.ledger.chain.time)
    header = w.ledger.chain.signed_header(w.ledger.height).header
    assert (made.timestamp, made.root, made.height) == (header.time, header.app_hash, w.height)


def test_a_quorum_is_the_smallest_and_the_ledger_takes_it(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        made = await w.attest()
        check(w, made)
        assert len(made.signatures) == 4
        assert w.asked.health()["waits"] == ""

    run(tmp_path, test)


@pytest.mark.parametrize(
    "spoilt",
    [silent, away, wrong_signature, anothers_name, a_stranger, another_answer, refusing],
    ids=lambda f: f.__name__,
)
def test_one_that_fails_costs_nothing_and_is_named(tmp_path: Path, spoilt: Spoil) -> None:
    async def test(w: World) -> None:
        w.spoil(spoilt, 2)
        begun = asyncio.get_running_loop().time()
        check(w, await w.attest())
        assert asyncio.get_running_loop().time() - begun < ASK_S, "who is slow is not waited for"
        w.spoil(spoilt, 3)
        with pytest.raises(TooFewAttestors) as refused:
            await w.attest()
        assert set(refused.value.fields["missing"]) == {"operator-2", "operator-3"}
        assert (refused.value.fields["weight"], refused.value.fields["threshold"]) == (3, 4)
        assert {name for name, state in w.shown().items() if state != "signs"} == {"attestor 2", "attestor 3"}
        assert "3 of 4 needed; missing: operator-2, operator-3" in str(w.asked.health()["waits"])
        w.spoil(None, 2, 3)  # type: ignore[arg-type]  # honest again
        check(w, await w.attest())
        assert w.asked.health()["waits"] == "", "it goes on by itself"

    run(tmp_path, test)


def test_a_lie_that_is_truly_signed_does_not_stand_with_the_truth(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        w.spoil(lying(0, w.state), 0)
        check(w, await w.attest())
        w.spoil(lying(1, w.state), 1)
        with pytest.raises(TooFewAttestors) as refused:
            await w.attest()
        assert refused.value.fields["weight"] == 3, "what is said beside is not added up"
        assert w.pair.reported("attestors_differ")
        assert "different things" in str(w.asked.health()["waits"])

    run(tmp_path, test)


def test_an_attestor_that_says_two_things_of_a_height_is_named(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        w.asked = w.company.attestors(ASK_S)
        check(w, await w.attest())
        w.spoil(lying(3, w.state), 3)
        w.spoil(silent, 1, 2)
        for _ in range(2):  # and is told once
            with pytest.raises(TooFewAttestors):
                await w.attest()
        (said,) = w.pair.reported("attestor_equivocates")
        assert (said["operator"], said["height"]) == ("operator-3", str(w.height))

    run(tmp_path, test, threshold=5)


def test_what_a_ledger_was_told_counts_too(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        made = await w.attest()
        fresh = Attestors([], lambda kind, fields: w.pair.reports.append((kind, fields)))
        fresh.heard(w.state, made)
        other = dataclasses.replace(made, root=b"\x66" * 32, signatures=())
        key_hash, signature = sign(attester(2), w.state, other.message(w.state.chain_id, w.state.signers))
        fresh.heard(w.state, dataclasses.replace(other, signatures=((key_hash, b"forged"),)))
        assert w.pair.reported("attestor_equivocates") == [], "nobody is accused of what he did not sign"
        fresh.heard(w.state, dataclasses.replace(other, signatures=((key_hash, signature),)))
        named = [said["operator"] for said in w.pair.reported("attestor_equivocates")]
        assert named == (["operator-2"] if key_hash in dict(made.signatures) else [])

    run(tmp_path, test, threshold=5)


def test_nobody_is_enough_for_nothing(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        nobody = Attestors([], lambda *_: None, ASK_S)
        with pytest.raises(TooFewAttestors):
            await nobody.attest(w.state, w.height, w.ledger.chain.time)

    run(tmp_path, test)


def test_a_rotation_is_collected_like_an_attestation(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        following = set_of((0, 1, 2, 3, 7), 4, epoch=2)
        with pytest.raises(TooFewAttestors):
            await w.asked.hand_over(w.state, following, w.ledger.chain.time)
        w.company.accepted.append(following)

        async def wrong(request: Request, service: AttestorService) -> Answer:
            answer = await service.answer(request)
            assert isinstance(answer, HandedOver)
            return dataclasses.replace(answer, signature=b"s" * 64)

        w.spoil(wrong, 4)
        made = await w.asked.hand_over(w.state, following, w.ledger.chain.time)
        assert made.following == following
        message = made.message(w.state.chain_id, w.company.signers)
        check_quorum(w.state, w.company.signers, message, made.signatures, w.ledger.chain.time)

    run(tmp_path, test)


def test_a_stale_epoch_is_refused_by_whoever_is_asked(tmp_path: Path) -> None:
    async def test(w: World) -> None:
        ahead = dataclasses.replace(w.state, signers=set_of(range(5), 4, epoch=2))
        with pytest.raises(TooFewAttestors) as refused:
            await w.asked.attest(ahead, w.height, w.ledger.chain.time)
        assert "attestor.unknown_set" in str(refused.value)

    run(tmp_path, test)
