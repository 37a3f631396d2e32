"""`python -m lockgate.lab SEED`: prints a run, its hash, and what its checkers say. `--story NAME` runs a story."""

from __future__ import annotations

import argparse
import sys

from lockgate.lab import deviating, migrating
from lockgate.lab.checkers import EVERY
from lockgate.lab.lane_checkers import Degraded, Undisturbed
from lockgate.lab.outcome import PromiseBroken
from lockgate.lab.simulation import TICKS, Simulation


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lockgate.lab", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--ticks", type=int, default=TICKS, help="seconds of virtual time under faults")
    parser.add_argument("--quiet", action="store_true", help="print no event log")
    stories = {deviating.NAME: deviating.DeviatingPeer, migrating.NAME: migrating.MigratingLane}
    parser.add_argument("--story", choices=list(stories), help="a story instead of a storm; it sets its own ticks")
    arguments = parser.parse_args()
    simulation = stories.get(arguments.story, Simulation)(arguments.seed)
    failure: Exception | None = None
    try:
        if isinstance(simulation, Simulation):
            simulation.run(arguments.ticks).check(*EVERY)
        elif isinstance(simulation, migrating.MigratingLane):
            simulation.run().check(*EVERY, migrating.Moved())
        else:
            quiet = deviating.DeviatingPeer(arguments.seed, quiet=True).run()
            simulation.run().check(*EVERY, Degraded(), Undisturbed(quiet))
    except PromiseBroken as broken:
        failure = broken
    finally:
        # Also when the run itself broke: the log is how it came there.
        if not arguments.quiet:
            sys.stdout.write("\n".join(simulation.log.lines) + "\n")
    sys.stdout.write(f"seed {arguments.seed} hash {simulation.log.hash}\n")
    if failure is not None:
        sys.stdout.write(f"{failure}\n")
    return int(failure is not None)


if __name__ == "__main__":
    sys.exit(main())
