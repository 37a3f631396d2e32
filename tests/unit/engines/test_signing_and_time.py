"""A validator never signs a height twice (P12), and header time keeps its bounds (P13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.engines.embedded.recovery import StoreBehind, recover
from lockgate.engines.embedded.timekeeping import CLIENT_DRIFT, MAX_JUMP, BlockTime, ClockJumped
from lockgate.ibc import host
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import update
from lockgate.primitives.time import NANOS_PER_MILLI, UnixNanos, seconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.signstate import SignState, SignStateBroken, WouldSignTwice
from tests.support.lab import START, World


def test_P12_other_bytes_at_a_signed_height_are_refused(tmp_path: Path) -> None:
    state = SignState.open(tmp_path / "state", fresh=True)
    state.record(7, b"sign bytes", b"signature")
    state.permit(7, b"sign bytes")
    for height, sign_bytes in ((7, b"other bytes"), (6, b"sign bytes")):
        with pytest.raises(WouldSignTwice):
            state.permit(height, sign_bytes)
    state.close()
    again = SignState.open(tmp_path / "state", fresh=False)
    assert (again.height, again.sign_bytes) == (7, b"sign bytes")
    again.close()


def test_P12_a_missing_sign_state_is_not_taken_for_a_fresh_one(tmp_path: Path) -> None:
    with pytest.raises(SignStateBroken):
        SignState.open(tmp_path / "state", fresh=False)


def test_P12_a_store_behind_its_sign_state_does_not_start(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path / "ledger.sqlite")
    ledger = LabLedger("alpha-1", SimulatedClock(START), store=store)
    key = ledger.genesis.validators[0].public_key
    state = SignState.open(tmp_path / "state", fresh=True)
    state.record(ledger.height + 1, b"a block this store does not have", b"signature")
    with pytest.raises(StoreBehind):
        recover(ledger.genesis, store, ledger.chain.state, [(key, state)])
    state.close()
    store.close()


def test_P13_a_clock_behind_gives_the_last_time_and_a_millisecond() -> None:
    clock = SimulatedClock(START)
    times = BlockTime.starting(clock, START, accept_jump=False)
    clock.step_wall(-seconds(3_600))
    assert times.next(lambda: None) == START + NANOS_PER_MILLI


def test_P13_a_clock_that_jumps_ahead_needs_the_operator() -> None:
    clock = SimulatedClock(START)
    times = BlockTime.starting(clock, START, accept_jump=False)
    clock.step_wall(MAX_JUMP)
    assert times.next(lambda: None) == START + MAX_JUMP
    clock.step_wall(1)
    with pytest.raises(ClockJumped):
        times.next(lambda: None)
    confirmed = BlockTime.starting(clock, START, accept_jump=True)
    assert confirmed.next(lambda: None) == START + MAX_JUMP + 1


def test_P13_a_header_of_a_ledger_it_follows_moves_the_bound_by_the_drift_and_no_further() -> None:
    """Far-future headers of a client that anybody may have made do not excuse a wrong clock."""
    clock = SimulatedClock(START)
    times = BlockTime.starting(clock, START, accept_jump=False)
    clock.step_wall(MAX_JUMP + CLIENT_DRIFT)
    assert times.next(lambda: START) == START + MAX_JUMP + CLIENT_DRIFT
    clock.step_wall(CLIENT_DRIFT)
    far = UnixNanos(START + seconds(86_400))
    assert times.next(lambda: far) == START + MAX_JUMP + 2 * CLIENT_DRIFT
    clock.step_wall(1)
    with pytest.raises(ClockJumped):
        times.next(lambda: far)


def test_P13_the_engine_asks_the_clients_of_its_open_lanes() -> None:
    """B's newest header on A is the second witness of the time."""
    world = World.make()
    chain = world.a.ledger.chain
    update(world.a, world.b.ledger)
    newest = chain._newest_client_header()
    header = world.b.ledger.chain.signed_header(world.a.trusted).header
    assert newest == header.time
    world.clock.step_wall(MAX_JUMP + seconds(30))
    world.a.ledger.block()
    world.clock.step_wall(2 * MAX_JUMP)
    with pytest.raises(ClockJumped):
        world.a.ledger.block()


def test_P13_a_lane_whose_client_says_no_time_does_not_hide_that_the_clock_jumped() -> None:
    """Anybody can open a lane: its client must not keep a ledger from saying what is wrong."""
    world = World.make()
    chain = world.a.ledger.chain
    newest = chain.machine.packets.kinds.latest_height(chain.view(), world.a.client)
    chain.state.apply({("ibc", host.consensus_state(world.a.client, newest)): None})
    for _ in range(2):
        world.a.ledger.block()
    world.clock.step_wall(CLIENT_DRIFT + 2 * MAX_JUMP)
    with pytest.raises(ClockJumped):
        chain.produce([])
    chain.confirm_clock()
    chain.produce([])
