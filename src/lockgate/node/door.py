"""The door of a host's socket: what each connection must show before a call is carried out (P22)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lockgate.node import issuing
from lockgate.node.folder import Folder
from lockgate.node.passes import PATH, Host
from lockgate.primitives.ports import Clock
from lockgate.session.tokens import (
    NO_CHANNEL,
    Admitted,
    Call,
    Guard,
    Issuers,
    ListUnseen,
    Moment,
    Nonces,
    NotAuthenticated,
    NotInScope,
    Place,
    Seen,
)

Report = Callable[[str, dict[str, object]], None]


class Door:
    """One socket's."""

    def __init__(
        self,
        place: Place,
        issuers: Callable[[], Issuers],
        revoked: Callable[[], Seen | None],
        clock: Clock,
        report: Report,
    ) -> None:
        self._clock = clock
        self._report = report
        self._guard = Guard(place, issuers, revoked, self._now())

    @classmethod
    def of(cls, folder: Folder, home: Path, revoked: Callable[[], Seen | None], clock: Clock, report: Report) -> Door:
        """That of a host of the folder, for tokens of the folder's operator; makes its key where there is none."""
        issuing.ensure(folder)
        host = Host.of(home)
        place = Place(audience=host.audience, domain=host.domain, revision=host.revision)
        return cls(place, lambda: issuing.issuers(folder), revoked, clock, report)

    def give(self, nonces: Nonces) -> bytes:
        return nonces.give(self._clock.monotonic())

    def admit(self, shown: bytes, verb: str, body: bytes, nonce: bytes, nonces: Nonces) -> Admitted:
        """Raises NotAuthenticated, NotInScope, ListUnseen; why is reported here, and told nobody."""
        call = Call(method=verb, path=PATH, body=body, nonce=nonce, channel=NO_CHANNEL)
        try:
            return self._guard.admit(shown, call, nonces, self._now())
        except (NotAuthenticated, NotInScope, ListUnseen) as refusal:
            self._report("token_refused", {"verb": verb[:40], "reason": str(refusal.__cause__ or refusal)[:300]})
            raise

    def left(self, admitted: Admitted) -> float:
        """Seconds that what was let in may go on."""
        return self._guard.left(admitted, self._now())

    def _now(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())


__all__ = ("Door", "Report")
