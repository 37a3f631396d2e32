"""Where in a beacon state or block body a light client's parts stand, as generalized indices of each fork.

Source: consensus-specs, sync-protocol.md of Altair (state), Capella (body), Electra (a state of more fields).
"""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.ethereum.network import Fork

EXECUTION_PAYLOAD: Final = 25  # in the block body, from Capella on
DEPTHS_MAX: Final = 7  # of a branch in any fork known here


def finalized_root(fork: Fork) -> int:
    """`finalized_checkpoint.root` in the state."""
    return 169 if fork >= Fork.ELECTRA else 105


def current_sync_committee(fork: Fork) -> int:
    return 86 if fork >= Fork.ELECTRA else 54


def next_sync_committee(fork: Fork) -> int:
    return 87 if fork >= Fork.ELECTRA else 55


__all__ = ("DEPTHS_MAX", "EXECUTION_PAYLOAD", "current_sync_committee", "finalized_root", "next_sync_committee")
