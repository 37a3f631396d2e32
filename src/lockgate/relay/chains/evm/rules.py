"""What a lane's guardian may say of it to the host contract, and what the lane's rules are now (contracts/lanes.vy)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec.errors import Malformed
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.answers import Receipt
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.packets import told_by
from lockgate.relay.rpc import BadAnswer

MOST: Final = 2**32 - 1  # packets of a window, and its seconds
PORT: Final = re.compile(r"0x[0-9a-f]{40}")  # an application's address, as the contract writes it
PAUSE: Final = "pause"
ANNOUNCE: Final = "announce"
ENACT: Final = "enact"
ADMIT: Final = "admit"
_TOLD: Final = ("PortAdmitted", "RulesAnnounced")  # events that say from when on it is lawful


class BadRule(Refused):
    code = "evm.bad_rule"
    summary = "The contract knows no such rule of a lane."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Limits are numbers from 1 to 4,294,967,295, and a port is its application's address: 0x and 40 digits."


@dataclass(frozen=True, slots=True)
class LaneRules:
    """A lane at the newest block."""

    guardian: bytes
    paused: bool
    out_max: int  # packets in a window, for each admitted port and for all others together
    in_max: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Said:
    """A guardian's word: a function of the host and what follows the lane's client."""

    function: str
    arguments: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Raises BadRule."""
        kinds: dict[str, tuple[type, ...]] = {PAUSE: (), ENACT: (), ANNOUNCE: (int, int, int), ADMIT: (str, bool)}
        if kinds.get(self.function) != tuple(map(type, self.arguments)):
            raise BadRule("no such word", function=str(self.function)[:40])
        numbers = [one for one in self.arguments if type(one) is int]
        if not all(0 < number <= MOST for number in numbers):
            raise BadRule("a limit is out of range", limits=numbers)
        for port in self.arguments[:1] if self.function == ADMIT else ():
            if not PORT.fullmatch(port):
                raise BadRule("not a port", port=port[:80])

    @classmethod
    def read(cls, value: Any) -> Self:
        """From what `to_json` made. Raises BadRule."""
        try:
            return cls(str(value["function"]), tuple(value["arguments"]))
        except (KeyError, TypeError) as error:
            raise BadRule("no word of a guardian's") from error

    def to_json(self) -> dict[str, Any]:
        return {"function": self.function, "arguments": list(self.arguments)}

    def call(self, client: ClientId) -> bytes:
        """Call data."""
        arguments = [int(one) if type(one) is bool else one for one in self.arguments]
        return interface("host").call(self.function, client, *arguments)


async def rules_of(chain: EvmChain, client: ClientId) -> LaneRules:
    """Raises BadAnswer, NoHost."""
    data = await chain.call(chain.host, interface("host").call("getLane", client))
    try:
        _, guardian, _, paused, limits = interface("host").result("getLane", data)
    except Malformed as error:
        raise BadAnswer("a lane has another shape", client=client) from error
    return LaneRules(int(guardian).to_bytes(20), bool(paused), limits & MOST, limits >> 32 & MOST, limits >> 64 & MOST)


def lawful_from(receipt: Receipt, host: bytes) -> int:
    """Unix seconds from which on what was said has an effect; 0 for at once."""
    for log in receipt.logs:
        found = told_by(log) if log.address == host else None
        if found is not None and found[0] in _TOLD:
            return int(found[1][-1])
    return 0


__all__ = ("ADMIT", "ANNOUNCE", "ENACT", "PAUSE", "BadRule", "LaneRules", "Said", "lawful_from", "rules_of")
