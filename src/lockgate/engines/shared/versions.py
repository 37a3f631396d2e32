"""Which rules a ledger runs under: the app version of its headers, which is that of the build that makes its blocks.

A price or a rule of the machine that changes gives other results for the same block, so it changes with the app version
alone. Builds hold one set of rules each and switch between none: a ledger is opened and replayed by builds of its own
version. That is said when it is opened, and not found out by two validators whose roots part.
"""

from __future__ import annotations

from lockgate.machine.machine import APP_VERSION
from lockgate.primitives.errors import Refused


class OtherAppVersion(Refused):
    code = "ledger.app_version"
    summary = "The ledger was made under another app version, and this build knows the rules of its own alone."
    untouched = "Nothing was written."
    next_step = "Run it with a build of the ledger's app version, which `lockgate version` names; 0 is older than any."


def check_app_version(found: int) -> None:
    """Raise OtherAppVersion unless a ledger of app version `found` runs under this build."""
    if found != APP_VERSION:
        raise OtherAppVersion("made under another one", ledger=found, build=APP_VERSION)


__all__ = ("OtherAppVersion", "check_app_version")
