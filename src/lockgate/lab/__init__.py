"""The simulated world: the same core, with clock, entropy, network and disk from a seed.

- `simulation`: one seed, from the plan it draws to the outcome that is checked
- `loop`, `clock`, `draws`, `entropy`, `events`: what makes a run repeat
- `network`, `disk`, `parties`, `faults`, `adversaries`: what can go wrong, and to whom
- `guests`, `journal`, `history`, `outcome`, `checkers`: what is promised, and how that is seen
- `beacon`, `execution`: a beacon chain in small over an EVM state in small
- `beacon_node`, `beacon_blocks`, `beacon_rest`: an EVM node's blocks as a beacon chain's, and what its node tells
- `origin`, `ledgers`, `endpoints`, `paths`, `rpc`: the world a run starts from

`python -m lockgate.lab SEED` prints a run. See docs/explanation/simulation.md.
"""

__all__ = (
    "adversaries",
    "beacon",
    "beacon_blocks",
    "beacon_node",
    "beacon_rest",
    "checkers",
    "clock",
    "disk",
    "draws",
    "endpoints",
    "entropy",
    "events",
    "execution",
    "faults",
    "journal",
    "ledgers",
    "loop",
    "network",
    "origin",
    "outcome",
    "paths",
    "rpc",
    "simulation",
)
