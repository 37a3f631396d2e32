"""The engines a ledger of a deployment may run on."""

from __future__ import annotations

import enum


class Engine(enum.StrEnum):
    """What orders a ledger's blocks."""

    EMBEDDED = "embedded"  # one process, one signer
    COMETBFT = "cometbft"  # a node for each validator


__all__ = ("Engine",)
