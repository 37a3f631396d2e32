"""Who means harm in a run, drawn from the seed: at most one of them, beside what breaks by itself.

- `relayer`: repeats, alters, truncates, submits foreign and stale proofs
- `node`: a ledger's node that lies to one process
- `thief`: holds an endpoint's account key, not its identity key

A cloned host is among the faults (`lab.faults`): it is the endpoint itself, twice.
"""

from __future__ import annotations

from typing import Final

from lockgate.lab.adversaries.adversary import Adversary, Nobody
from lockgate.lab.adversaries.node import LyingNode
from lockgate.lab.adversaries.relayer import HostileRelayer
from lockgate.lab.adversaries.thief import Thief
from lockgate.lab.draws import Draws
from lockgate.lab.faults import Cast
from lockgate.lab.origin import Origin
from lockgate.lab.parties import Surroundings

KINDS: Final[tuple[type[Adversary], ...]] = (Nobody, Nobody, HostileRelayer, LyingNode, Thief)


def draw(cast: Cast, origin: Origin, world: Surroundings, draws: Draws) -> Adversary:
    """The adversary of a run."""
    return draws.choice(KINDS)(cast, origin, world, draws)


__all__ = ("KINDS", "Adversary", "draw")
