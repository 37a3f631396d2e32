"""Applications that a ledger of the folder may have on its ports beside the endpoints, by name.

Which ones a ledger has is part of what every node of it must agree on, so it is fixed when the ledger is made and
stands beside its genesis. They are for lanes to chains that are not ours, where no endpoint speaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lockgate.ibc.ports import Accepted, Application, Call, Reception, Rejected
from lockgate.node.folder import NotInitialised, read_json, write_json
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Outcome, View

FILE: Final = "applications.json"


class OtherApplications(Refused):
    code = "node.other_applications"
    summary = "The applications asked for are not those the ledger was made with, or there is none of that name."
    untouched = "Nothing was started; the ledger goes by what it was made with."
    next_step = "Name the same ones, or make another ledger: which there are cannot change while it has a history."


class Echo:
    """As `contracts/echo.vy`: answers a body with its SHA-256, and refuses one that starts with a zero byte."""

    def on_send(self, _view: View, _call: Call, /) -> Outcome:
        return Outcome()

    def on_receive(self, _view: View, call: Call, /) -> Reception:
        body = call.payload.value
        return Rejected("echo.refused") if body[:1] == b"\x00" else Accepted(hashlib.sha256(body).digest())

    def on_acknowledgement(self, _view: View, _call: Call, _acknowledgement: bytes, /) -> Outcome:
        return Outcome()

    def on_timeout(self, _view: View, _call: Call, /) -> Outcome:
        return Outcome()


KNOWN: Final[Mapping[str, Application]] = {"echo": Echo()}


def fix(home: Path, names: Sequence[str], *, fresh: bool) -> None:
    """Write down what a ledger that is made has; of one that is there, require it. Raises OtherApplications."""
    if not set(names) <= KNOWN.keys() or len(set(names)) != len(names):
        raise OtherApplications("no such application", asked=", ".join(names)[:100], known=", ".join(KNOWN))
    if fresh and names:
        write_json(home / FILE, {"applications": sorted(names)})
    if set(names) - of(home).keys():
        raise OtherApplications(asked=", ".join(names), made_with=", ".join(of(home)) or "none")


def of(home: Path) -> dict[str, Application]:
    """What a ledger has, by port. Raises OtherApplications for one that this build does not know."""
    try:
        names = read_json(home / FILE)["applications"]
        return {name: KNOWN[name] for name in names}
    except NotInitialised:
        return {}
    except (KeyError, TypeError) as error:
        raise OtherApplications("the record names what this build does not have", file=str(home / FILE)) from error


__all__ = ("KNOWN", "Echo", "OtherApplications", "fix", "of")
