"""The newest block that was released, over a restart: a chain that departs below it is noticed then, too (C6).

It is on disk before anything is derived from it. A process that starts compares it with what stands at its height now;
where that is another block, finality has failed and the chain is read no more, as in the process that released it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from lockgate.primitives.errors import Damaged, Refused
from lockgate.relay.chains.evm.answers import EvmBlock, block_of, hexed
from lockgate.relay.chains.evm.files import replace_whole
from lockgate.relay.rpc import BadAnswer

MAX_BYTES: Final = 4_096
FORMAT: Final = 1


class MemoryDamaged(Damaged):
    code = "evm.memory_damaged"
    summary = "The file that holds the newest released block is not as it was written, or cannot be written."
    untouched = "Nothing is read of the chain: whether it departs from what was released cannot be told."
    next_step = "Restore the file; where it is lost, compare the chain with what was delivered, then remove it."


class MemoryOfAnother(Refused):
    code = "evm.memory_of_another"
    summary = "The file that holds the newest released block is of another chain or another host contract."
    untouched = "Nothing was read and nothing was sent."
    next_step = "Give each chain and host a folder of its own."


class Memory:
    """A file, replaced whole."""

    def __init__(self, path: Path, network: int, host: bytes) -> None:
        self._path = path
        self._who: dict[str, object] = {"format": FORMAT, "network": network, "host": host.hex()}

    def beside(self, name: str) -> Path:
        """A file of the same folder."""
        return self._path.with_name(name)

    def load(self) -> EvmBlock | None:
        """The newest released block; None before the first. Raises MemoryDamaged, MemoryOfAnother."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MemoryDamaged(path=self._path, reason=error.strerror) from error
        try:
            value: Any = json.loads(data) if len(data) <= MAX_BYTES else None
            who = {name: value[name] for name in self._who}
            block = block_of(value["block"])
        except (ValueError, TypeError, KeyError, BadAnswer, RecursionError) as error:
            raise MemoryDamaged(path=self._path) from error
        if who != self._who:
            raise MemoryOfAnother(path=self._path, **{name: str(text)[:60] for name, text in who.items()})
        return block

    def save(self, block: EvmBlock) -> None:
        """Write and sync. Raises MemoryDamaged."""
        fields = {
            "number": hexed(block.number),
            "hash": hexed(block.hash),
            "parentHash": hexed(block.parent),
            "timestamp": hexed(block.time),
            "stateRoot": hexed(block.state_root),
            "baseFeePerGas": hexed(block.base_fee),
            "gasLimit": hexed(block.gas_limit),
        }
        try:
            replace_whole(self._path, json.dumps({**self._who, "block": fields}))
        except OSError as error:
            raise MemoryDamaged(path=self._path, reason=error.strerror) from error


__all__ = ("Memory", "MemoryDamaged", "MemoryOfAnother")
