"""A guard is patient with a word that nobody can judge now, looks at none twice, and drops none without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.courier.evm_attesting import EvmAttest
from lockgate.courier.ports import ChainUnavailable
from lockgate.lightclients.evm_attestation import Signed, Statement
from lockgate.primitives.ids import Height
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.relay import evm_guard
from lockgate.relay.evm_attestors import TooFewEvmAttestors
from lockgate.relay.evm_guard import EvmGuard
from lockgate.relay.evm_words import Word
from tests.support.evm_node import CLIENT, FakeNode, chain_of
from tests.unit.relay.evm.test_words import CONTRACT, LEAVES, signed, statement


class Guarding:
    """A guard whose judgement is this test's: `fails` times a word cannot be judged."""

    def __init__(self, fails: int = 0) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.heard: list[Word] = []
        self.fails = fails
        end: Any = SimpleNamespace(client=CLIENT, chain=SimpleNamespace(chain_id="alpha-1"))
        account: Any = SimpleNamespace(chain=chain_of(FakeNode())[0])
        attestors: Any = None
        report = lambda name, fields: self.told.append((name, fields))  # noqa: E731
        self.guard = EvmGuard(end, end, account, b"\x01" * 32, attestors, report)
        self.guard._hear = self.hear  # type: ignore[method-assign]

    async def hear(self, word: Word) -> None:
        self.heard.append(word)
        if self.fails:
            self.fails -= 1
            raise ChainUnavailable("nobody answers")

    def alarms(self) -> list[object]:
        return [fields["code"] for name, fields in self.told if name == "alarm"]

    def look(self, times: int = 1) -> None:
        async def work() -> None:
            for _ in range(times):
                for each in self.guard._waiting:
                    each.at = float("-inf")
                await self.guard._look()

        asyncio.run(work())


def word(height: int) -> Word:
    over = statement(height)
    return Word(over, signed(over))


def test_a_word_that_cannot_be_judged_for_a_hundred_looks_is_judged_then() -> None:
    g = Guarding(fails=100)
    g.guard._take(word(7))
    g.look(100)
    assert (len(g.heard), len(g.guard._waiting), g.alarms()) == (100, 1, [])
    g.look(2)
    assert (len(g.heard), len(g.guard._waiting)) == (101, 0)


def test_looks_come_more_and_more_rarely_and_the_last_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evm_guard, "LOOKS_MOST", 3)
    g = Guarding(fails=9)
    g.guard._take(word(7))
    asyncio.run(g.guard._look())
    asyncio.run(g.guard._look())
    assert len(g.heard) == 1, "it waits"
    g.look(5)
    assert len(g.heard) == 3
    assert g.alarms() == ["evm.words_given_up"]


def test_a_word_is_looked_at_once_however_often_it_is_repeated() -> None:
    g = Guarding()
    for _ in range(3):
        g.guard._take(word(7))
        g.guard._take(word(8))
        g.look()
    assert [one.statement.height for one in g.heard] == [7, 8]


def test_words_that_do_not_fit_are_told_and_those_before_them_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evm_guard, "WAITING_MOST", 2)
    g = Guarding()
    for height in (7, 8, 9):
        g.guard._take(word(height))
    assert g.alarms() == ["evm.words_dropped"]
    g.look()
    g.guard._take(word(9))
    g.look()
    assert [one.statement.height for one in g.heard] == [7, 8, 9]


class Attesting:
    """Attestors with a quorum of the sets of these epochs."""

    def __init__(self, *epochs: int) -> None:
        self.epochs, self.asked = epochs, list[int]()

    async def sign(self, request: EvmAttest, over: Statement, *_: Any) -> tuple[Signed, ...]:
        self.asked.append(request.epoch)
        if request.epoch not in self.epochs:
            raise TooFewEvmAttestors(epoch=request.epoch)
        return signed(over)


def truth(attestors: Attesting, accused: int, known: Sequence[int]) -> Word:
    """A quorum's word where the accused one is of an epoch, and the sets of some are known."""
    g = Guarding()
    g.guard._attestors = attestors  # type: ignore[assignment]
    g.guard._reader._sets = {epoch: replace(CONTRACT, epoch=epoch) for epoch in known}
    header: Any = SimpleNamespace(time=1_700_000_000 * NANOS_PER_SECOND, app_hash=b"\x11" * 32)
    contract = replace(CONTRACT, epoch=accused)
    return asyncio.run(g.guard._truth(contract, Height(1, 7), header, (b"key",), LEAVES[:1]))


def test_where_a_set_of_thieves_took_over_the_one_before_it_says_what_is_true() -> None:
    attestors = Attesting(1, 2)
    assert truth(attestors, 4, (1, 2, 3, 4, 5)).statement.epoch == 2
    assert attestors.asked == [4, 3, 2], "newest first, and none that came after"


def test_the_set_that_is_accused_is_asked_first() -> None:
    attestors = Attesting(1, 2)
    assert truth(attestors, 2, (1, 2)).statement.epoch == 2
    assert attestors.asked == [2]


def test_where_no_set_has_a_quorum_the_word_waits() -> None:
    attestors = Attesting()
    with pytest.raises(TooFewEvmAttestors) as refused:
        truth(attestors, 2, (1, 2))
    assert refused.value.fields["epoch"] == 2
    assert attestors.asked == [2, 1]
