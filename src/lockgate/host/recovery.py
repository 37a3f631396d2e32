"""What a starting host may do, decided from proven facts (P1, P8).

A host that stopped between submitting a step and seeing it proven holds two candidate states: the
one it had and the one it staged. The same for a fence: it comes with a new salt on the state it had, and
a start that was cut off may have left some. The ledger's root says which is true. A root that is none of
them means that another copy of this endpoint has moved on: this one is restored or cloned, and must not act.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from lockgate.primitives.errors import Refused


class Fenced(Refused):
    code = "host.fenced_off"
    summary = "Another copy of this endpoint has acted since this copy's state was saved."
    untouched = "This copy took no fence, ran no guest and sent nothing."
    next_step = "Stop this copy for good and keep the one that is ahead; see the evidence file for both roots."


class Standing(enum.Enum):
    """Which of the saved states is the endpoint's state on the ledger."""

    COMMITTED = "committed"
    STAGED = "staged"
    RENEWED = "renewed"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a host's own store says: the root it holds, the root it staged, the fence it last took.

    `renewed` are the roots of its own fences whose fate it does not know; `between` those of steps staged before
    the last one, where a transaction may have stopped when an application refused its last answer (P2).
    """

    committed_root: bytes
    staged_root: bytes | None
    fence: int
    renewed: tuple[bytes, ...] = ()
    between: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class OnLedger:
    """What the ledger proves about the endpoint at one height."""

    root: bytes
    fence: int
    height: int


def standing(saved: Saved, proven: OnLedger) -> Standing | None:
    """Tell which saved state stands; None when neither does, so that another copy has acted.

    A staged root that stands is promoted whatever fence the ledger shows: the step was accepted
    under an older fence, which is what makes it this copy's own.
    """
    if saved.staged_root is not None and proven.root in (saved.staged_root, *saved.between):
        return Standing.STAGED
    if proven.root == saved.committed_root:
        return Standing.COMMITTED
    if proven.root in saved.renewed:
        return Standing.RENEWED
    return None


def fenced(saved: Saved, proven: OnLedger, evidence: str) -> Fenced:
    """The failure of a copy that is behind; `evidence` is where the proof of it lies."""
    return Fenced(
        "another copy has acted",
        on_ledger=proven.root,
        committed=saved.committed_root,
        staged=saved.staged_root or b"",
        fence_on_ledger=proven.fence,
        fence_saved=saved.fence,
        height=proven.height,
        evidence=evidence,
    )
