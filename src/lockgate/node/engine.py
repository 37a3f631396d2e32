"""The engines a ledger of a deployment may run on."""

from __future__ import annotations

import enum

from lockgate.primitives.errors import Refused


class Engine(enum.StrEnum):
    """What orders a ledger's blocks."""

    EMBEDDED = "embedded"  # one process, one signer
    COMETBFT = "cometbft"  # a node for each validator


class OtherEngine(Refused):
    code = "node.other_engine"
    summary = "A ledger of this folder has this name already, and runs on another engine."
    next_step = "Choose another name, another folder with --data, or the engine that the ledger was made for."


__all__ = ("Engine", "OtherEngine")
