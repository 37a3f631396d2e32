"""Several nodes of one ledger, of which a required number must agree: who is asked, believed, set aside.

A source is one node. What a light client proves needs no second opinion: it is read from one source and,
where that one is silent or its proof does not hold, from the next (`first`). All else is asked of every
source that is fit and counted by entry (`elect`): an entry stands when `required` sources show it and not as
many miss it, and the other way round it does not; what neither is true of is asked again for a while, since
honest nodes are a block apart, and then nothing is read at all. A source that fails is set aside and tried
again later, for longer after a lie than after silence; never is anything read from fewer than `required`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from lockgate.primitives.errors import LockgateError, Misuse, PeerFault, Unavailable
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import STUMBLES, RpcError

ANSWER_S: Final = 5.0  # a source that has not answered by then is silent
GRACE_S: Final = 0.5  # how long the others are waited for when enough have answered
SETTLE_S: Final = 2.0  # how long sources may differ: honest ones are a block or a call apart
SETTLE_FIRST_S: Final = 0.02
DISSENT_S: Final = 6.0  # an entry that a source alone denies or claims for so long is no matter of a block
AWAY_S: Final = (0.5, 5.0)  # set aside after silence: first and longest
UNUSABLE_S: Final = (2.0, 60.0)  # after an answer of another shape, length or chain
LIED_S: Final = (10.0, 1_800.0)  # after an answer that was refuted
MAX_QUESTIONS: Final = 256  # questions whose dissenters are remembered
SHOWN: Final = 120  # characters of an answer in an alarm

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Report = Callable[[str, dict[str, object]], None]


class SourcesTooFew(Unavailable):
    code = "sources.too_few"
    summary = "Fewer nodes of a ledger are fit to be read than must agree, so nothing is read from it."
    untouched = "No packet over it is moved and nothing is believed; it goes on by itself when enough are fit again."
    next_step = "Look at the sources in the status; mend or replace those that are set aside. Do not require fewer."


class SourcesDisagree(Unavailable):
    code = "sources.disagree"
    summary = "The nodes of a ledger say different things, and not enough of them say the same."
    untouched = "Nothing of what they said was used; it is asked again, and goes on by itself when enough agree."
    next_step = "Compare the nodes that are named; a further independent one tells which of them is wrong."


class SourcesMisconfigured(Misuse):
    code = "sources.misconfigured"
    summary = "More nodes of a ledger must agree than are configured, or one is configured twice."
    next_step = "Name as many different nodes as must agree, at least; three where two must, to survive a bad one."


class SourceSilent(Unavailable):
    code = "sources.silent"
    summary = "A node of a ledger did not answer, or too late; the others are read."
    next_step = "Check that the node runs and is reached; it is tried again by itself."


class SourceBehind(Unavailable):
    code = "sources.behind"
    summary = "A node of a ledger stays behind the height that enough others have reached."
    next_step = "Check that the node synchronises; it is tried again by itself."


class SourceUnusable(PeerFault):
    code = "sources.unusable"
    summary = "A node of a ledger answered with another shape, another chain's data, or without end."
    untouched = "Nothing of the answer was used; the others are read."
    next_step = "Check the node's address, version and whatever stands in front of it."


class SourceLied(PeerFault):
    code = "sources.lied"
    summary = "A node of a ledger gave an answer that a proof, a hash or the light client refutes."
    untouched = "Nothing of the answer was used; the node is not asked for a while, and the others are read."
    next_step = "Stop using the node until it is known why: it, or something in front of it, forges answers."


class SourceOutvoted(PeerFault):
    code = "sources.outvoted"
    summary = "A node of a ledger contradicts as many others as must agree."
    untouched = "Its answer was not used; the node is not asked for a while, and the others are read."
    next_step = "Compare the node with the others; it, or something in front of it, changes or withholds answers."


PAUSES: Final = {SourceSilent: AWAY_S, SourceBehind: AWAY_S, SourceUnusable: UNUSABLE_S}
Alarm = SourceSilent | SourceBehind | SourceUnusable | SourceLied | SourceOutvoted


@dataclass(slots=True, eq=False)
class Source:
    """One node of the ledger. `name` is how people know it: its address, most often."""

    name: str
    chain: CometBftChain
    until: float = 0.0  # set aside till then, in the loop's time
    failures: int = 0  # in a row
    alarm: Alarm | None = None  # why it is, or was last, set aside
    height: int = 0  # of its newest block, as it said
    due: tuple[int, float] | None = None  # a height it must reach, and by when


class Sources:
    """The nodes of one ledger, best first as configured, and how many of them must agree."""

    def __init__(self, chain_id: str, sources: Sequence[Source], required: int, report: Report) -> None:
        """Raises SourcesMisconfigured."""
        if not 1 <= required <= len(sources) or len({source.name for source in sources}) < len(sources):
            raise SourcesMisconfigured(chain=chain_id, required=required, sources=[s.name for s in sources])
        self.chain_id = chain_id
        self.all = tuple(sources)
        self.required = required
        self.halts: dict[str, str] = {}  # codes of why nothing is read, by kind of question
        self.alarms = 0
        self._report = report
        self._dissent: OrderedDict[str, dict[tuple[str, object], float]] = OrderedDict()

    def fit(self, what: str) -> list[Source]:
        """Sources that may be asked. Raises SourcesTooFew, and then nothing may be read."""
        at = now()
        found = [source for source in self.all if source.until <= at]
        if len(found) < self.required:
            aside = {s.name: s.alarm.code for s in self.all if s.until > at and s.alarm is not None}
            raise self.halt(SourcesTooFew(what, chain=self.chain_id, required=self.required, aside=aside))
        return found

    async def every(self, what: str, ask: Callable[[CometBftChain], Awaitable[T]]) -> dict[Source, T | RpcError]:
        """Ask all that are fit; a node's own error is an answer. Raises SourcesTooFew."""
        tasks = {asyncio.ensure_future(ask(source.chain)): source for source in self.fit(what)}
        found: dict[Source, T | RpcError] = {}
        waiting, ends = set(tasks), now() + ANSWER_S
        try:
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=max(0.0, ends - now()), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    with _Caught(self, tasks[task], what, found):
                        found[tasks[task]] = task.result()
                        self.good(tasks[task])
                if not done:
                    break
                if len(found) >= self.required:
                    ends = min(ends, now() + GRACE_S)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        for task in waiting:
            self.aside(tasks[task], SourceSilent("no answer in time"), what)
        if len(found) < self.required:
            self.fit(what)  # raises, with what was set aside
            raise self.halt(SourcesTooFew(what, chain=self.chain_id, required=self.required, answered=len(found)))
        return {source: found[source] for source in self.all if source in found}

    async def first(
        self,
        what: str,
        ask: Callable[[CometBftChain], Awaitable[T]],
        check: Callable[[T], None] = lambda _: None,
        within_s: float = ANSWER_S,
    ) -> T:
        """The first answer that `check` lets pass: of one source, unless that one fails. For what is proven.

        `check` raises PeerFault, or RpcError where another source may have more. Raises the last RpcError
        where no source has the answer.
        """
        last: RpcError | None = None
        for source in self.fit(what):
            try:
                async with asyncio.timeout(within_s):
                    found = await ask(source.chain)
            except RpcError as error:
                last = error
                continue
            except TimeoutError:
                self.aside(source, SourceSilent("no answer in time"), what)
                continue
            except STUMBLES as error:
                self.failed(source, error, what)
                continue
            try:
                check(found)
            except RpcError as error:
                last = error
                continue
            except PeerFault as refuted:
                self.aside(source, SourceLied(str(refuted)), what, said=found)
                continue
            self.good(source)
            return found
        if last is not None:
            raise last
        raise self.halt(SourcesTooFew(what, chain=self.chain_id, required=self.required))

    async def elect(
        self, what: str, ask: Callable[[CometBftChain], Awaitable[Mapping[K, V]]], *, fixed: bool = False
    ) -> dict[K, V]:
        """Entries that enough sources show. `fixed`: of a block, so that honest sources never differ.

        Raises SourcesDisagree, and RpcError where enough sources say that they have no answer.
        """
        pause, ends = SETTLE_FIRST_S, now() + SETTLE_S
        disputed: set[K] | None = None  # entries that no answer has settled; later ones are for the next question
        while True:
            answers = await self.every(what, ask)
            shown = {source: answer for source, answer in answers.items() if not isinstance(answer, RpcError)}
            errors = [answer for answer in answers.values() if isinstance(answer, RpcError)]
            if len(errors) >= self.required and len(shown) < self.required:
                raise errors[0]
            if len(shown) >= self.required:
                agreed, open_ = count(list(shown.values()), len(answers), self.required)
                disputed = open_ if disputed is None else disputed & open_
                if not disputed:
                    self._outvote(what, shown, agreed, fixed=fixed)
                    self.agreed(what)
                    return agreed
            if now() >= ends:
                open_ = disputed or {key for answer in shown.values() for key in answer}
                said = {s.name: _what(shown[s], open_) if s in shown else str(answers[s]) for s in answers}
                raise self.halt(SourcesDisagree(what, chain=self.chain_id, required=self.required, said=said))
            await asyncio.sleep(pause)
            pause *= 2

    def aside(self, source: Source, alarm: Alarm, what: str, said: object = None, others: object = None) -> None:
        """Ask a source no more for a while, and say so with what it said and what others did."""
        first_s, most_s = PAUSES.get(type(alarm), LIED_S)
        source.failures += 1
        source.until = now() + min(most_s, first_s * 2 ** min(source.failures - 1, 16))
        source.alarm, source.due = alarm, None
        self.alarms += 1
        fields: dict[str, object] = {"chain": self.chain_id, "source": source.name, "code": alarm.code, "what": what}
        fields |= {"detail": str(alarm)[:300]}
        fields |= {name: _short(value) for name, value in (("said", said), ("others", others)) if value is not None}
        self._report("source_set_aside", fields)

    def good(self, source: Source) -> None:
        """A usable answer came: the next silence counts as the first one. A lie is not forgotten for it."""
        if not isinstance(source.alarm, SourceLied | SourceOutvoted):
            source.failures = 0

    def failed(self, source: Source, error: BaseException, what: str) -> None:
        """Set a source aside for what came instead of an answer."""
        if isinstance(error, Unavailable):
            self.aside(source, SourceSilent(str(error)), what)
        else:
            self.aside(source, SourceUnusable(str(error) if isinstance(error, LockgateError) else repr(error)), what)

    def halt(self, failure: SourcesTooFew | SourcesDisagree) -> SourcesTooFew | SourcesDisagree:
        """Note that nothing is read, and say so once; returns the failure to raise."""
        kind = "" if isinstance(failure, SourcesTooFew) else failure.detail.partition(" ")[0]
        if kind not in self.halts:
            self.halts[kind] = failure.code
            self._report("halted", {"chain": self.chain_id, "code": failure.code, "detail": str(failure)[:600]})
        return failure

    def agreed(self, what: str) -> None:
        """Enough sources said the same: this kind of question has its answers again."""
        if self.halts:
            self.halts.pop("", None)
            self.halts.pop(what.partition(" ")[0], None)
            if not self.halts:
                self._report("resumed", {"chain": self.chain_id})

    def status(self) -> dict[str, object]:
        """For people: how many must agree, and each source's state."""
        at = now()
        rows = [
            {
                "source": source.name,
                "height": source.height,
                "state": "fit" if source.until <= at or source.alarm is None else source.alarm.code,
                "again_s": max(0.0, round(source.until - at, 1)),
            }
            for source in self.all
        ]
        return {
            "required": self.required,
            "halted": sorted(set(self.halts.values())),
            "alarms": self.alarms,
            "nodes": rows,
        }

    def _outvote(self, what: str, shown: Mapping[Source, Mapping[K, V]], agreed: Mapping[K, V], *, fixed: bool) -> None:
        """Set those aside that contradict what enough others say: at once of a block, else when they keep to it."""
        at, before = now(), self._dissent.pop(what, {})
        kept: dict[tuple[str, object], float] = {}
        for source, answer in shown.items():
            if answer == agreed:
                continue
            wrong = [key for key in {**answer, **agreed} if not _same(answer, agreed, key)]
            kept |= {(source.name, key): before.get((source.name, key), at) for key in wrong}
            lasting = wrong if fixed else [key for key in wrong if at - kept[source.name, key] >= DISSENT_S]
            if lasting and self.required > 1:
                self.aside(source, SourceOutvoted(what), what, _what(answer, lasting), _what(agreed, lasting))
        if kept and not fixed:
            self._dissent[what] = kept
            while len(self._dissent) > MAX_QUESTIONS:
                self._dissent.popitem(last=False)


def count(answers: Sequence[Mapping[K, V]], voters: int, required: int) -> tuple[dict[K, V], set[K]]:
    """Entries that stand, in the order of the first source that shows them, and those that are not decided.

    `voters` counts sources that answered with an error as well: they show nothing. Where one source is
    enough, an entry stands when any shows it, and the first configured source's value is taken.
    """
    if all(answer == answers[0] for answer in answers) and len(answers) >= required and voters == len(answers):
        return dict(answers[0]), set()
    stands: dict[K, V] = {}
    undecided: set[K] = set()
    for key in {key: None for answer in answers for key in answer}:
        values = [answer[key] for answer in answers if key in answer]
        tally: list[tuple[V, int]] = []
        for value in values:
            if all(value != known for known, _ in tally):
                tally.append((value, sum(value == other for other in values)))
        enough = [value for value, votes in tally if votes >= required]
        missing = voters - len(values)
        if required == 1:
            stands[key] = values[0]
        elif len(enough) == 1 and missing < required:
            stands[key] = enough[0]
        elif enough or missing < required:
            undecided.add(key)
    return stands, undecided


class _Caught:
    """What a source's failure makes of it, while an answer is taken."""

    def __init__(self, sources: Sources, source: Source, what: str, found: dict[Source, T | RpcError]) -> None:
        self._sources, self._source, self._what, self._found = sources, source, what, found

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, RpcError):
            self._found[self._source] = error
        elif isinstance(error, STUMBLES):
            self._sources.failed(self._source, error, self._what)
        else:
            return error is None
        return True


def _same(answer: Mapping[K, V], agreed: Mapping[K, V], key: K) -> bool:
    return key in answer and key in agreed and answer[key] == agreed[key]


def _what(answer: Mapping[K, V], keys: object) -> str:
    """What an answer says of some entries, shortly."""
    assert isinstance(keys, list | set)
    parts = (f"{_short(key)}: {_short(answer[key]) if key in answer else 'nothing'}" for key in _few(keys))
    return "; ".join(parts)


def _few(keys: list[K] | set[K]) -> Iterator[K]:
    return (key for _, key in zip(range(3), keys, strict=False))


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def now() -> float:
    """The loop's time, in seconds."""
    return asyncio.get_running_loop().time()


__all__ = (
    "STUMBLES",
    "Report",
    "Source",
    "SourceBehind",
    "SourceLied",
    "SourceOutvoted",
    "SourceSilent",
    "SourceUnusable",
    "Sources",
    "SourcesDisagree",
    "SourcesMisconfigured",
    "SourcesTooFew",
    "count",
    "now",
)
