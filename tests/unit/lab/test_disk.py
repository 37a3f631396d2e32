"""Simulated disks: what a crash at a write leaves, and that a dead process reaches nothing."""

from __future__ import annotations

import pytest

from lockgate.lab.disk import (
    Fuse,
    Moment,
    PowerCut,
    SignStateDisk,
    SimulatedHostStore,
    SimulatedSigningState,
    unplugged,
)
from lockgate.storage.host import HostStore
from lockgate.storage.signstate import WouldSignTwice


@pytest.mark.parametrize(("moment", "kept"), [(Moment.BEFORE, False), (Moment.INSIDE, False), (Moment.AFTER, True)])
def test_power_fails_at_a_write(moment: Moment, kept: bool) -> None:
    fuse = Fuse(lambda: None)
    store = SimulatedHostStore(HostStore.in_memory().connection, fuse)
    fuse.arm(2, moment)
    with store.commit():
        store.set_meta("first", b"1")
    with pytest.raises(PowerCut), store.commit():
        store.set_meta("second", b"2")
    disk = HostStore(unplugged(store.connection), None)
    assert disk.meta("first") == b"1"
    assert (disk.meta("second") == b"2") is kept


def test_a_process_without_power_writes_nothing() -> None:
    blown: list[bool] = []
    fuse = Fuse(lambda: blown.append(True))
    store = SimulatedHostStore(HostStore.in_memory().connection, fuse)
    fuse.blow()
    with pytest.raises(PowerCut), store.commit():
        store.set_meta("late", b"1")
    assert store.meta("late") is None
    assert blown == [True]


def test_p12_a_sign_state_never_signs_a_height_twice() -> None:
    state = SimulatedSigningState(SignStateDisk(0, b""), Fuse(lambda: None))
    state.record(5, b"block", b"signature")
    state.record(5, b"block", b"signature")
    with pytest.raises(WouldSignTwice):
        state.record(5, b"another", b"signature")
    with pytest.raises(WouldSignTwice):
        state.record(4, b"block", b"signature")
