"""The checkers can fail: each defect that is planted here is found within a few seeds.

A simulation that never complains proves nothing. Every test breaks one function of the product as a
careless change might, and expects the checker whose promise it breaks to object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.host.windows import Window
from lockgate.hosting import steps
from lockgate.ibc import receiving
from lockgate.lab import simulation
from lockgate.lab.checkers import Consistent, ExactlyOnce, InOrder, NoForgery, NoPlaintext, Settled
from lockgate.lab.outcome import Checker, Outcome, PromiseBroken
from lockgate.lab.session_checkers import Erased, SealedOnce
from lockgate.lab.simulation import LONG_TERM_ONE_IN, ORDERS, SKEWED, Simulation
from lockgate.lightclients.tendermint.client import TendermintClient
from lockgate.relay.messages import Stage
from lockgate.relay.mover import Mover
from lockgate.session import Book

MOST = 25  # seeds until a defect must have shown


def seeds(adversary: str | None = None) -> Iterator[int]:
    """Seeds of the fast suite, of one adversary where it takes one."""
    fast = (seed for seed in count() if seed % 10 != 9)
    return (seed for seed in fast if adversary is None or Simulation(seed).adversary.name == adversary)


def under_long_term_keys(adversary: str) -> Iterator[int]:
    """Those whose hosts use no sessions: what an endpoint sealed opens again, and only its window refuses it."""
    return (seed for seed in seeds(adversary) if seed % LONG_TERM_ONE_IN == 0)


def found_by(
    checker: Checker, adversary: str | None = None, most: int = MOST, among: Iterator[int] | None = None
) -> str:
    """Run seeds until the checker objects; returns its words."""
    for seed in islice(among or seeds(adversary), most):
        try:
            Simulation(seed).run().check(checker)
        except PromiseBroken as broken:
            return str(broken)
    pytest.fail(f"{type(checker).__name__} did not object within {most} seeds")


def test_a_window_that_accepts_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "accept", lambda self, counter: self)
    assert " effects" in found_by(ExactlyOnce(), among=under_long_term_keys("thief"))


def test_a_receipt_that_is_not_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful:
        """A view in which no packet was ever received."""

        def __init__(self, view: Any) -> None:
            self._view = view

        def get(self, store: str, key: bytes, /) -> bytes | None:
            return None if b"\x02" in key[-9:-8] else self._view.get(store, key)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._view, name)

    true = receiving.receive
    monkeypatch.setattr(
        "lockgate.ibc.dispatch.receiving.receive", lambda wiring, view, *rest: true(wiring, Forgetful(view), *rest)
    )
    assert "received 2 times" in found_by(ExactlyOnce())


def test_a_step_that_is_promoted_before_it_is_proven_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = steps.Steps.stage

    def hasty(self: steps.Steps, *parts: Any) -> Any:
        staged = true(self, *parts)
        with self.parts.store.commit():
            self.parts.store.promote(staged.version)
        return staged

    monkeypatch.setattr(steps.Steps, "stage", hasty)
    assert "no copy of" in found_by(Settled(), "nobody")


def test_proofs_that_a_ledger_does_not_check_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TendermintClient, "verify_membership", lambda *_: None)
    assert "accepted" in found_by(NoForgery(), "relayer")


def test_an_envelope_whose_author_is_not_checked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.envelope.seal._verify", lambda context, aad, message, author: message.payload)
    assert "never sent" in found_by(NoForgery(), "thief")


def test_a_body_beside_its_envelope_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = steps.seal
    monkeypatch.setattr(steps, "seal", lambda *parts: true(*parts) + cbor.encode(parts[6]))
    assert "in the clear" in found_by(NoPlaintext(), most=3)


def test_a_body_beside_its_envelope_in_a_session_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = steps.seal_within
    monkeypatch.setattr(steps, "seal_within", lambda *parts: true(*parts) + cbor.encode(parts[4]))
    assert "in the clear" in found_by(NoPlaintext(), most=3)


def test_a_key_that_seals_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "seal", lambda self, peer, session, size: session.next(size)[0])
    assert "two envelopes under the key" in found_by(SealedOnce())


def test_a_key_that_outlives_its_message_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "settled", lambda self, commitment: None)
    assert "keys are left" in found_by(Erased())


def test_a_packet_received_before_its_turn_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.machine.ordering.is_next", lambda order, claim, expected, now: True)
    monkeypatch.setattr("lockgate.relay.ordered.is_next", lambda order, claim, expected, now: True)
    true = Mover.move

    async def backwards(self: Mover, direction: Any, stage: Stage, batch: Any, *rest: Any) -> None:
        await true(self, direction, stage, batch[::-1], *rest)

    monkeypatch.setattr(Mover, "move", backwards)
    ordered = (seed for seed in count(0, LONG_TERM_ONE_IN) if seed % 10 in ORDERS)  # no handshakes: more messages
    assert "out of order" in found_by(InOrder(), among=ordered)


def test_a_relayer_that_brings_no_timeouts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Mover.move

    async def lazy(self: Mover, direction: Any, stage: Stage, *rest: Any) -> None:
        if stage is Stage.TIME_OUT:
            await asyncio.sleep(1)
        else:
            await true(self, direction, stage, *rest)

    monkeypatch.setattr(Mover, "move", lazy)
    rare = (seed for seed in seeds() if seed >= 45)  # a packet times out in one seed of thirty
    assert "packet" in found_by(Settled(), among=rare)


def test_a_clock_further_ahead_than_hosts_bear_stops_them_and_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts take no header from forty seconds ahead of their own clock on: the skew of a run is real."""
    monkeypatch.setattr(simulation, "AHEAD_S", 61)
    monkeypatch.setattr(simulation, "BEHIND_S", -60)
    assert "no copy of" in found_by(Settled(), among=iter([SKEWED]))


def test_a_block_that_does_not_replay_is_found() -> None:
    outcome: Outcome = Simulation(0).run()
    outcome.check(Consistent())
    disk = outcome.history.ledgers[0].disk
    disk.execute("UPDATE block SET app_hash = zeroblob(32) WHERE height = 20")
    with pytest.raises(PromiseBroken, match=r"store_tampered.*repeat=python -m lockgate.lab 0 "):
        outcome.check(Consistent())
