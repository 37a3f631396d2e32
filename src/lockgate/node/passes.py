"""Passes: a token with the key it was issued to, and which host it is for. What a caller of a host's socket has (P22).

Tools of the operator get theirs without being asked for: the operator's key signs one for five minutes, it is kept in
the host's folder (0600) for what only reads or sends, and renewed a minute before its end. Whoever else is to ask a
host is given a file that `lockgate token issue` wrote, and names it in LOCKGATE_TOKEN.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from lockgate.crypto.keys import SEED_BYTES, IdentitySigner, KeyRole
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.node import issuing
from lockgate.node.folder import Folder, read_json, write_json
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.ids import revision_number
from lockgate.primitives.time import UnixSeconds
from lockgate.session.tokens import TOKEN_ID_BYTES, Call, Claims, Holder, issue, peek, show

NAMED: Final = "LOCKGATE_TOKEN"  # a pass to use instead of the operator's key
LIVES_S: Final = 300
RENEW_S: Final = 60  # before its end: a stream that begins with it has a minute at least
HOLDER_SUITE: Final = 2
SEED: Final = SEED_BYTES
KEY_HASH_BYTES: Final = 32
PATH: Final = "host.sock"  # of calls to a host's socket


class BadPass(PeerFault):
    code = "token.bad_pass"
    summary = "A file is not a pass, or is one for another host."
    untouched = "Nothing was asked of the host."
    next_step = "Name in LOCKGATE_TOKEN a file that `lockgate token issue` wrote for this host."


class UnknownVerb(Refused):
    code = "token.unknown_verb"
    summary = "A pass is to allow what no host does."
    untouched = "No token was issued."
    next_step = "Name one of the verbs that the refusal lists; docs/how-to/share-a-host.md says what each is."


@dataclass(frozen=True, slots=True)
class Host:
    """Whom a pass is for, as the host's configuration says, and not as whoever answers at a socket does."""

    endpoint: str  # hex
    domain: bytes
    revision: int

    @classmethod
    def of(cls, home: Path) -> Self:
        """Raises NotInitialised, BadPass."""
        found = read_json(home / "endpoint.json")
        try:
            local = found["local"]
            return cls(str(found["endpoint"]), bytes.fromhex(local["domain"]), revision_number(local["chain_id"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadPass("the host's configuration does not read", file=str(home / "endpoint.json")) from error

    @property
    def audience(self) -> str:
        return f"host:{self.endpoint}"


@dataclass(frozen=True, slots=True)
class Pass:
    """A token, its claims, and the key that proves calls with it."""

    token: bytes
    claims: Claims
    holder: IdentitySigner
    host: Host

    def show(self, method: str, body: bytes, nonce: bytes, channel: bytes) -> bytes:
        """What goes with one call."""
        call = Call(method=method, path=PATH, body=body, nonce=nonce, channel=channel)
        return show(self.token, self.holder, call, self.host.domain, self.host.revision).encode()

    def lasts(self, seconds: int) -> bool:
        return self.claims.expires > time.time() + seconds


def make(
    folder: Folder, home: Path, subject: str, scope: tuple[str, ...], lives_s: int = LIVES_S
) -> tuple[Pass, bytes]:
    """Issue a pass for a host of the folder; also returns the seed of its key. Raises NoOperator, TokenMalformed."""
    host, rng = Host.of(home), OsEntropy()
    operator = issuing.signer(folder)
    seed, now = rng.bytes(SEED), int(time.time())
    holder = identity_signer(HOLDER_SUITE, seed, KeyRole.HOLDER)
    claims = Claims(
        issuer=issuing.issuer_name(folder),
        subject=subject,
        audience=host.audience,
        expires=UnixSeconds(now + lives_s),
        not_before=UnixSeconds(now),
        issued=UnixSeconds(now),
        token_id=rng.bytes(TOKEN_ID_BYTES),
        holder=Holder.of(holder.key),
        scope=tuple(sorted(scope)),
    )
    return Pass(issue(claims, operator, host.domain, host.revision), claims, holder, host), seed


def write(path: Path, made: Pass, seed: bytes) -> None:
    """Write a pass to a file of mode 0600: whoever reads it may do what it allows, until it ends."""
    host = {"endpoint": made.host.endpoint, "domain": made.host.domain.hex(), "revision": made.host.revision}
    write_json(path, {"token": made.token.hex(), "suite": made.holder.key.suite, "seed": seed.hex(), **host})


def read(path: Path) -> Pass:
    """Raises BadPass, NotInitialised, NotRunning."""
    found = read_json(path)
    try:
        token = bytes.fromhex(found["token"])
        holder = identity_signer(found["suite"], bytes.fromhex(found["seed"]), KeyRole.HOLDER)
        host = Host(str(found["endpoint"]), bytes.fromhex(found["domain"]), int(found["revision"]))
        return Pass(token, peek(token), holder, host)
    except (LockgateError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadPass(str(error)[:200], file=str(path)) from error


class Wallet:
    """The passes a process has for one host, by what they are good for."""

    def __init__(self, socket: Path) -> None:
        self._home = socket.parent
        self._folder = Folder(socket.parents[2])
        self._held: dict[str, Pass] = {}

    async def find(self, verb: str, *, fresh: bool = False) -> Pass:
        """A pass that allows `verb`; with `fresh`, one made now. Raises NoOperator, BadPass, NotInitialised."""
        named = os.environ.get(NAMED)
        if named:
            return self._named(Path(named))
        kind = next((kind for kind, verbs in issuing.VERBS.items() if verb in verbs), "read")
        held = None if fresh else self._held.get(kind) or self._kept(kind)
        if held is None or not held.lasts(RENEW_S):
            held = await asyncio.to_thread(self._make, kind)
        self._held[kind] = held
        return held

    @property
    def renews(self) -> bool:
        """Whether another pass can be made here."""
        return not os.environ.get(NAMED)

    def _named(self, path: Path) -> Pass:
        found = read(path)
        if found.host.endpoint != Host.of(self._home).endpoint:
            raise BadPass("it is for another host", file=str(path))
        return found

    def _make(self, kind: str) -> Pass:
        made, seed = make(self._folder, self._home, f"tool:{os.getuid()}", issuing.VERBS[kind])
        if kind != "keep":  # what changes keys and rules is issued anew for each process, and lies nowhere
            write(self._file(kind), made, seed)
        return made

    def _kept(self, kind: str) -> Pass | None:
        path = self._file(kind)
        if kind == "keep" or not path.exists():
            return None
        try:
            found = read(path)
            return found if found.host == Host.of(self._home) else None
        except LockgateError:
            return None

    def _file(self, kind: str) -> Path:
        return self._home / f"{kind}.pass"


_WALLETS: Final[dict[Path, Wallet]] = {}


def wallet(socket: Path) -> Wallet:
    """This process's passes for the host behind a socket of a data folder."""
    return _WALLETS.setdefault(socket.absolute(), Wallet(socket.absolute()))


def revocable(file: Path | None, one: str) -> tuple[bytes, int]:
    """What is to be revoked, and until when it lives, 0 where that is not known. Raises BadPass."""
    if file is not None:
        claims = read(file).claims
        return claims.token_id, int(claims.expires)
    try:
        found = bytes.fromhex(one)
    except ValueError:
        found = b""
    if len(found) not in (TOKEN_ID_BYTES, KEY_HASH_BYTES):
        raise BadPass("name a pass, or an id of 16 bytes or the hash of a key of 32, in hex", given=one[:80])
    return found, 0


def summary(found: Pass) -> dict[str, Any]:
    """What may be shown of a pass: all of its token, nothing of its key."""
    claims = found.claims
    return {
        "issuer": claims.issuer,
        "subject": claims.subject,
        "audience": claims.audience,
        "scope": " ".join(claims.scope),
        "id": claims.token_id.hex(),
        "not_before": int(claims.not_before),
        "expires": int(claims.expires),
        "lane": claims.lane.hex() if claims.lane else "",
        "session": claims.session.hex() if claims.session else "",
        "key": claims.holder.hash.hex(),
    }


__all__ = (
    "LIVES_S",
    "NAMED",
    "PATH",
    "BadPass",
    "Host",
    "Pass",
    "UnknownVerb",
    "Wallet",
    "make",
    "read",
    "revocable",
    "summary",
    "wallet",
    "write",
)
