"""Waits are drawn from an injected source, between half and the whole; two relayers draw different ones."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.lab.entropy import SeededEntropy
from lockgate.relay import driver
from lockgate.relay.jitter import LEAST, Jitter
from tests.support.relays import Pair


class Fixed:
    """A source that gives the same bytes for ever."""

    def __init__(self, byte: int) -> None:
        self._byte = byte

    def bytes(self, count: int, /) -> bytes:
        return bytes([self._byte]) * count


def test_a_share_is_from_half_to_the_whole() -> None:
    assert Jitter(Fixed(0)).share() == LEAST == 0.5
    assert 0.999 < Jitter(Fixed(0xFF)).share() < 1
    draws = [Jitter(SeededEntropy(b"one")).share() for _ in range(2)]
    assert draws[0] == draws[1], "a seed is a run"
    assert draws[0] != Jitter(SeededEntropy(b"other")).share()


def test_a_relayer_that_fails_waits_a_share_of_the_doubling_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 8:
            raise asyncio.CancelledError

    async def fails() -> None:
        raise ChainUnavailable("away")

    async def work() -> None:
        relayer = Pair.make().relayer("one")
        monkeypatch.setattr(driver.asyncio, "sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await relayer._loop("test", fails)

    asyncio.run(work())
    expected = Jitter(SeededEntropy(b"one"))
    assert slept == [whole * expected.share() for whole in (1, 2, 4, 8, 16, 32, 60, 60)]
