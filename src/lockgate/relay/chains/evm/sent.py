"""Which packets of a lane a final block holds: read once each, and again only while they are open.

Commitments are slots, so each sequence is asked for by itself. Where all of a lane's sequences were read is remembered,
over a restart too, and which of them were open then: these alone are read again, a part of them at a time where they
are many, as nobody can end a packet that no ledger reads. A lane of which nothing is known is read in bounded pieces.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lockgate.courier.ports import NotYet
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.files import replace_whole
from lockgate.relay.chains.evm.memory import MemoryDamaged

AT_ONCE: Final = 2_000  # slots that are read in one piece
MOST_READ: Final = 100_000  # slots of sequences that are new, in one scan; the next one goes on there
MOST_AGAIN: Final = 20_000  # slots of packets that were open, in one scan
MOST_KEPT: Final = 100_000  # open packets that a file holds, 80 bytes each
MAX_BYTES: Final = 16 * 1024 * 1024
FORMAT: Final = 1
Read = Callable[[Sequence[int]], Awaitable[dict[int, bytes]]]  # commitments that a final block holds, by sequence


@dataclass(slots=True)
class Lane:
    """What is known of one client's packets."""

    below: int = 1  # every sequence below was read
    open: dict[int, bytes] = field(default_factory=dict)  # of these, with its commitment
    turn: int = 0  # the open packet from which on they are read again


class SentPackets:
    """Of one host contract. `path` keeps what is known over a restart; what it holds, another scan finds again."""

    def __init__(self, path: Path | None, network: int, host: bytes, *, anew: bool = False) -> None:
        """`anew`: what the file holds does not count."""
        self._path = path
        self._who: dict[str, object] = {"format": FORMAT, "network": network, "host": host.hex()}
        self._lanes = {} if anew else self._load()

    async def outstanding(self, client: ClientId, last: int, read: Read) -> dict[int, bytes]:
        """Packets up to the sequence `last`. Raises NotYet where more are new than one scan reads, MemoryDamaged."""
        lane = self._lanes.setdefault(client, Lane())
        if last < lane.below - 1:  # so many were never sent: what was read there is not known
            lane = self._lanes[client] = Lane()
        begun, again = lane.below, _from(sorted(lane.open), lane.turn)[:MOST_AGAIN]
        end = min(last, begun + MOST_READ - 1)
        for numbers in _pieces(range(begun, end + 1)):
            lane.open |= await read(numbers)
            lane.below = numbers[-1] + 1
        ended = False
        for some in _pieces(again):
            found = await read(some)
            for sequence in set(some) - found.keys():
                lane.open.pop(sequence, None)
                ended = True
            lane.turn = some[-1] + 1
        if ended or lane.below > begun:
            self._save()
        if end < last:
            raise NotYet("the lane's packets are being read", client=client, read_to=end, sent=last)
        return dict(lane.open)

    def _load(self) -> dict[ClientId, Lane]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                value: Any = json.loads(file.read(MAX_BYTES))
            if {name: value[name] for name in self._who} != self._who:
                return {}
            return {ClientId(client): _lane_of(one) for client, one in value["lanes"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # it saves a scan, and no more

    def _save(self) -> None:
        if self._path is None:
            return
        lanes = {
            client: {"below": lane.below, "open": {str(at): value.hex() for at, value in lane.open.items()}}
            for client, lane in self._lanes.items()
            if len(lane.open) <= MOST_KEPT
        }
        try:
            replace_whole(self._path, json.dumps({**self._who, "lanes": lanes}))
        except OSError as error:
            raise MemoryDamaged(path=self._path, reason=error.strerror) from error


def _lane_of(value: Any) -> Lane:
    found = {int(at): bytes.fromhex(one) for at, one in value["open"].items()}
    below = value["below"]
    if type(below) is not int or any(not 0 < at < below or len(one) != 32 for at, one in found.items()):
        raise ValueError("not a lane")
    return Lane(max(1, below), found)


def _from(ordered: Sequence[int], turn: int) -> list[int]:
    """Those from `turn` on, then those before it."""
    return [at for at in ordered if at >= turn] + [at for at in ordered if at < turn]


def _pieces(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[at : at + AT_ONCE] for at in range(0, len(numbers), AT_ONCE)]


__all__ = ("AT_ONCE", "MOST_AGAIN", "MOST_READ", "SentPackets")
