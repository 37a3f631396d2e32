"""A good world of tokens: an operator, a holder, a server and its clock."""

from __future__ import annotations

import dataclasses
from typing import Any

from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.lab.clock import SimulatedClock
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from lockgate.session.tokens import (
    Admitted,
    Call,
    Claims,
    Guard,
    Holder,
    Issuer,
    Moment,
    Nonces,
    Place,
    Seen,
    issue,
    show,
)

START = UnixSeconds(1_800_000_000)
DOMAIN, REVISION = b"D" * 32, 3
AUDIENCE, PATH = "host:" + "ab" * 32, "host/alice"
METHODS = ("inbox", "send", "status")


def signer(role: KeyRole, suite: int = 2, seed: int = 1) -> IdentitySigner:
    return identity_signer(suite, bytes([seed]) * 32, role)


class TokenWorld:
    """Everything holds until somebody changes one thing."""

    def __init__(self, suite: int = 2) -> None:
        self.operator = signer(KeyRole.OPERATOR, suite)
        self.holder = signer(KeyRole.HOLDER, suite, 2)
        self.clock = SimulatedClock(UnixNanos(START * NANOS_PER_SECOND))
        self.place = Place(audience=AUDIENCE, domain=DOMAIN, revision=REVISION)
        self.issuers = {self.operator.key.hash: self.issuer()}
        self.claims = Claims(
            issuer="operator:main", subject="tool", audience=AUDIENCE, expires=UnixSeconds(START + 300),
            not_before=START, issued=START, token_id=b"t" * 16, holder=Holder.of(self.holder.key), scope=METHODS,
        )  # fmt: skip
        self.seen: Seen | None = Seen(frozenset(), self.clock.now())
        self.guard = self.guarded(self.place)
        self.nonces = Nonces(OsEntropy())
        self.domain, self.revision = DOMAIN, REVISION

    def guarded(self, place: Place) -> Guard:
        return Guard(place, lambda: self.issuers, lambda: self.seen, self.moment())

    def moment(self) -> Moment:
        return Moment(self.clock.now(), self.clock.monotonic())

    def nonce(self, nonces: Nonces | None = None) -> bytes:
        return (nonces or self.nonces).give(self.clock.monotonic())

    def let_in(self, shown: bytes, call: Call) -> Admitted:
        return self.guard.admit(shown, call, self.nonces, self.moment())

    def issuer(self, grants: tuple[str, ...] = METHODS) -> Issuer:
        return Issuer(name="operator:main", key=self.operator.key, grants=frozenset(grants))

    def say(self, **changes: Any) -> None:
        self.claims = dataclasses.replace(self.claims, **changes)

    def advance(self, count: float) -> None:
        """Time passes, and the ledger shows its list all the while."""
        self.clock.advance(seconds(count))
        if self.seen is not None:
            self.seen = Seen(self.seen.ids, self.clock.now())

    def token(self) -> bytes:
        return issue(self.claims, self.operator, self.domain, self.revision)

    def call(self, **changes: Any) -> Call:
        fresh = Call(method="status", path=PATH, body=b"{}", nonce=self.nonce(), channel=b"")
        return dataclasses.replace(fresh, **changes)

    def shown(self, call: Call, token: bytes | None = None) -> bytes:
        return show(token or self.token(), self.holder, call, DOMAIN, REVISION).encode()

    def admit(self) -> Admitted:
        call = self.call()
        return self.let_in(self.shown(call), call)
