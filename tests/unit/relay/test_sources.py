"""How many sources must agree, which of them are asked, and when nothing is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.courier.ports import ChainUnavailable
from lockgate.relay import sources as module
from lockgate.relay.rpc import BadAnswer, RpcError
from lockgate.relay.sources import Source, Sources, SourcesDisagree, SourcesMisconfigured, SourcesTooFew, count

X, Y = {"k": 1}, {"k": 2}


@pytest.mark.parametrize(
    ("answers", "voters", "required", "stands", "open_"),
    [
        ([X], 1, 1, X, set()),
        ([X, X], 2, 2, X, set()),
        ([X, Y], 2, 2, {}, {"k"}),
        ([X, {}], 2, 2, {}, {"k"}),
        ([X, X, Y], 3, 2, X, set()),
        ([Y, X, X], 3, 2, X, set()),
        ([X, {}, {}], 3, 2, {}, set()),
        ([X, X, {}], 3, 2, X, set()),
        ([X, X], 3, 2, X, set()),  # the third had no answer
        ([X, X, Y, Y], 4, 2, {}, {"k"}),  # two agree, and two others do: that is no agreement
        ([X, X, {}, {}], 4, 2, {}, {"k"}),
        ([X, X, {}, {}], 4, 3, {}, {"k"}),
        ([{}, {}], 2, 2, {}, set()),
        ([{"a": 1}, {"b": 2}], 2, 1, {"a": 1, "b": 2}, set()),  # one is enough: what any shows
    ],
)
def test_what_stands(
    answers: list[dict[str, int]], voters: int, required: int, stands: dict[str, int], open_: set[str]
) -> None:
    assert count(answers, voters, required) == (stands, open_)


@given(st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=5), st.data())
def test_fewer_liars_than_must_agree_add_nothing(answers: list[dict[int, int]], data: Any) -> None:
    """Whatever fewer than `required` say among honest sources that say the same, it does not change what stands."""
    required = data.draw(st.integers(2, 3))
    truth = answers[0]
    lies = answers[1 : data.draw(st.integers(1, required))]
    stands, open_ = count([truth] * required + lies, required + len(lies), required)
    assert {**stands, **{key: truth[key] for key in open_ if key in truth}} == truth
    if len(lies) < required:
        assert stands == truth
        assert not open_


@pytest.mark.parametrize(("names", "required"), [(("a",), 2), (("a", "b"), 0), (("a", "a", "b"), 2)])
def test_a_requirement_that_cannot_hold_is_refused(names: tuple[str, ...], required: int) -> None:
    with pytest.raises(SourcesMisconfigured):
        pool(*names, required=required)


class Answering:
    """Stands for a chain: says what it is told to."""

    def __init__(self) -> None:
        self.says: Callable[[], Awaitable[Any]] = self._agrees

    async def _agrees(self) -> dict[str, int]:
        return {"k": 1}

    async def ask(self) -> Any:
        return await self.says()


Pool = tuple[Sources, dict[str, Answering], list[tuple[str, dict[str, object]]]]


def pool(*names: str, required: int) -> Pool:
    chains = {name: Answering() for name in names}
    told: list[tuple[str, dict[str, object]]] = []
    made = [Source(name, chains[name]) for name in names]  # type: ignore[arg-type]
    return Sources("alpha-1", made, required, lambda kind, fields: told.append((kind, fields))), chains, told


def ask(chain: Any) -> Any:
    return chain.ask()


async def raising(error: BaseException) -> Any:
    raise error


async def never() -> Any:
    await asyncio.sleep(3_600)


FAILURES = {
    "sources.silent": lambda: raising(ChainUnavailable("gone")),
    "sources.unusable": lambda: raising(BadAnswer("the node runs another chain")),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    monkeypatch.setattr(module, "GRACE_S", 0.02)
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    monkeypatch.setattr(module, "AWAY_S", (0.1, 0.1))
    monkeypatch.setattr(module, "UNUSABLE_S", (0.1, 0.1))
    monkeypatch.setitem(module.PAUSES, module.SourceSilent, (0.1, 0.1))
    monkeypatch.setitem(module.PAUSES, module.SourceUnusable, (0.1, 0.1))


@pytest.mark.parametrize("code", [*FAILURES, "hangs"])
def test_one_of_three_fails_and_nothing_changes_but_an_alarm(code: str) -> None:
    async def work() -> None:
        sources, chains, told = pool("a", "b", "c", required=2)
        chains["b"].says = FAILURES.get(code, never)
        for _ in range(3):
            assert await sources.elect("what", ask) == {"k": 1}
        (alarm,) = told
        assert alarm[0] == "source_set_aside"
        assert (alarm[1]["source"], alarm[1]["code"]) == ("b", code if code in FAILURES else "sources.silent")
        assert sources.status()["halted"] == []

    asyncio.run(work())


@pytest.mark.parametrize("code", [*FAILURES, "hangs"])
def test_b5_one_of_two_fails_and_nothing_is_read_until_it_is_back(code: str) -> None:
    """B5: failover never lowers the requirement."""

    async def work() -> None:
        sources, chains, told = pool("a", "b", required=2)
        chains["b"].says = FAILURES.get(code, never)
        for _ in range(3):
            with pytest.raises(SourcesTooFew):
                await sources.elect("what", ask)
            with pytest.raises(SourcesTooFew):
                await sources.first("proof", ask)
        assert sources.status()["halted"] == ["sources.too_few"]
        assert [kind for kind, _ in told].count("halted") == 1
        chains["b"].says = chains["b"]._agrees
        await asyncio.sleep(0.12)
        assert await sources.elect("what", ask) == {"k": 1}
        assert (told[-1][0], sources.status()["halted"]) == ("resumed", [])

    asyncio.run(work())


def test_two_that_keep_differing_halt_and_both_are_named() -> None:
    async def work() -> None:
        sources, chains, told = pool("a", "b", required=2)

        async def other() -> dict[str, int]:
            return {"k": 2}

        chains["b"].says = other
        with pytest.raises(SourcesDisagree) as caught:
            await sources.elect("what", ask)
        assert caught.value.fields["said"] == {"a": "k: 1", "b": "k: 2"}
        assert [fields["code"] for _, fields in told] == ["sources.disagree"]
        chains["b"].says = chains["b"]._agrees
        assert await sources.elect("what", ask) == {"k": 1}
        assert told[-1][0] == "resumed"

    asyncio.run(work())


def test_honest_ones_that_are_a_block_apart_are_asked_again() -> None:
    async def work() -> None:
        sources, chains, told = pool("a", "b", required=2)
        asked = iter([{}, {"k": 1}])

        async def late() -> dict[str, int]:
            return next(asked)

        chains["b"].says = late
        assert await sources.elect("what", ask) == {"k": 1}
        assert told == []

    asyncio.run(work())


def test_a_nodes_own_error_is_an_answer() -> None:
    async def work() -> None:
        sources, chains, told = pool("a", "b", required=2)
        for chain in chains.values():
            chain.says = lambda: raising(RpcError("not found"))
        with pytest.raises(RpcError):
            await sources.elect("what", ask)
        with pytest.raises(RpcError):
            await sources.first("proof", ask)
        assert told == []

    asyncio.run(work())


def test_what_is_proven_comes_from_one_source_and_from_the_next_when_that_one_lied() -> None:
    async def work() -> None:
        sources, chains, told = pool("a", "b", "c", required=2)
        asked: list[object] = []

        async def counted(chain: Any) -> Any:
            asked.append(chain)
            return await chain.ask()

        assert await sources.first("proof", counted) == {"k": 1}
        assert asked == [chains["a"]]

        def check(_: object) -> None:
            if asked[-1] is chains["a"]:
                raise BadAnswer("another root")

        assert await sources.first("proof", counted, check) == {"k": 1}
        assert asked[1:] == [chains["a"], chains["b"]]
        assert [fields["code"] for _, fields in told] == ["sources.lied"]
        assert told[0][1]["said"] == "{'k': 1}"
        await sources.first("proof", counted, check)
        assert asked[-1] is chains["b"], "a liar is not asked again soon"

    asyncio.run(work())


def test_a_lie_is_set_aside_for_longer_each_time() -> None:
    async def work() -> None:
        sources, _, _ = pool("a", "b", required=1)
        source, waits = sources.all[0], []
        for _ in range(12):
            sources.aside(source, module.SourceLied("again"), "what")
            sources.good(source)
            waits.append(round(source.until - module.now()))
        assert waits == sorted(waits)
        assert (waits[0], waits[-1]) == (10, 1_800)

    asyncio.run(work())
