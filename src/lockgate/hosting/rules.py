"""The rules a host has agreed to: of each ledger it follows, the digests its operator accepted (P16).

A ledger shows its rules under one provable key. The host proves it when it starts, again at least every
minute, and before it acts after a longer pause. Where it shows others than accepted, the host does nothing over
that ledger, and nothing at all where it is its own, until the operator accepts them or the ledger is back at
accepted ones. Nothing is lost meanwhile: messages wait for as long as their ledgers let them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.hosting.config import HostConfig
from lockgate.hosting.reader import ProvenReader, TwoHistories
from lockgate.hosting.work import Report
from lockgate.lightclients.follower import TrustExpired
from lockgate.machine import keys
from lockgate.primitives.errors import PeerFault, Refused, Unavailable
from lockgate.primitives.ports import Clock

FRESH_NS: Final = 45_000_000_000  # with the longest rest of an idle host, below a minute
AGAIN_NS: Final = 5_000_000_000  # how soon rules that were not accepted are looked at again


class RulesChanged(Refused):
    code = "host.rules_changed"
    summary = "A ledger's rules are others than its operator's host has accepted (P16)."
    untouched = "The host does nothing over this ledger; messages in its inbox wait, and nothing was sent."
    next_step = "Look at the new rules with `lockgate host accept-rules NAME`; running it accepts them."


class RulesNotPinned(Refused):
    code = "host.rules_not_pinned"
    summary = "The host's configuration does not say which rules of a ledger it accepts (P16)."
    untouched = "The host did not start."
    next_step = "While its ledgers run (`lockgate ledger run`), use `lockgate host accept-rules NAME`: it pins them."


@dataclass(slots=True)
class _Ledger:
    reader: ProvenReader
    accepted: frozenset[str]  # digests in hex
    proven_at: int | None = None  # monotonic nanoseconds
    watched_at: int | None = None  # when `watch` last tried, where that failed
    expired: bool = False  # and that was said
    failure: RulesChanged | None = None


class Rules:
    """The rules of every ledger a host follows, by the ledger's name."""

    def __init__(self, config: HostConfig, readers: Mapping[str, ProvenReader], clock: Clock, report: Report) -> None:
        """Raises RulesNotPinned."""
        require_pins(config)
        self._own = config.local.name
        self._clock = clock
        self._report = report
        self._ledgers = {
            ref.name: _Ledger(readers[ref.name], frozenset(ref.rules)) for ref in (config.local, *config.remotes)
        }

    async def check(self, name: str) -> None:
        """A ledger's rules must be accepted ones, as proven lately. Raises RulesChanged, and what reading raises."""
        ledger, now = self._ledgers[name], self._clock.monotonic()
        fresh = FRESH_NS if ledger.failure is None else AGAIN_NS
        if ledger.proven_at is None or now - ledger.proven_at >= fresh:
            await self._prove(name, ledger)
        if ledger.failure is not None:
            raise ledger.failure.with_traceback(None)

    async def watch(self) -> None:
        """Prove what was not proven lately, of every ledger. Raises for the own ledger, as `check` does.

        Another ledger that is away, expired or at other rules is met again by whoever acts over it, and here
        no sooner than if all were well: the own ledger's work does not wait for it. Raises TwoHistories of any.
        """
        await self.check(self._own)
        for name, ledger in self._ledgers.items():
            now = self._clock.monotonic()
            if name == self._own or (ledger.watched_at is not None and now - ledger.watched_at < FRESH_NS):
                continue
            try:
                await self.check(name)
            except TwoHistories:
                raise
            except (Refused, Unavailable, PeerFault) as error:
                ledger.watched_at = now
                if isinstance(error, TrustExpired) and not ledger.expired:
                    ledger.expired = True
                    self._report("expired", {"ledger": name, "code": error.code, "detail": str(error)})

    def accept(self, name: str, digests: Iterable[str]) -> None:
        """The operator's new pin of one ledger; it holds at once."""
        ledger = self._ledgers[name]
        ledger.accepted = frozenset(digests)
        ledger.proven_at = ledger.failure = ledger.watched_at = None
        self._report("rules_accepted", {"ledger": name, "accepted": sorted(ledger.accepted)})

    def changed(self) -> dict[str, str]:
        """What is not accepted, by ledger."""
        return {name: str(ledger.failure) for name, ledger in self._ledgers.items() if ledger.failure is not None}

    async def _prove(self, name: str, ledger: _Ledger) -> None:
        height = await ledger.reader.latest()
        proven = (await ledger.reader.value(keys.RULES, keys.RULES_DIGEST, height) or b"").hex()
        ledger.proven_at, before = self._clock.monotonic(), ledger.failure
        if proven in ledger.accepted:
            ledger.failure = None
            return
        pinned = " ".join(sorted(ledger.accepted))
        ledger.failure = RulesChanged(ledger=name, pinned=pinned, proven=proven, height=height)
        if before is None or before.fields["proven"] != proven:
            fields = {"ledger": name, "pinned": pinned, "proven": proven, "height": height}
            self._report("rules_changed", {"code": RulesChanged.code, **fields})


def require_pins(config: HostConfig) -> None:
    """Every ledger a host follows has its rules pinned. Raises RulesNotPinned."""
    for ref in (config.local, *config.remotes):
        if not ref.rules:
            raise RulesNotPinned("no rules are accepted yet", host=config.name, ledger=ref.name)


__all__ = ("Rules", "RulesChanged", "RulesNotPinned", "require_pins")
