"""What a guest may ask of its host during one call, metered: the same for every kind of sandbox.

`Imports` stands behind the imports of the world `lockgate:guest`. It keeps what the guest decided
(writes, sends, late answers, log) apart from the state it was given, and stops a guest that goes
too far by raising `Stopped`, which the sandbox turns into a `GuestTrap`.

Randomness: SHAKE-256 over a label, the seed and the index of the request. The labels keep the two
kinds apart even for equal seeds; the index makes each request's bytes its own (P8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from lockgate.host.ports import (
    MAX_ALIAS,
    RESERVED,
    GuestEnv,
    GuestOutcome,
    GuestState,
    GuestTrap,
    LateAnswer,
    LogLine,
    MessageRef,
    Refusal,
    Reply,
    Result,
    Send,
    TrapKind,
)
from lockgate.host.sealing import BadSchemaName, schema_ref
from lockgate.primitives.state import Overlay, Writes
from lockgate.runtime.results import Stopped, checked_refusal, checked_reply, shown

LOG_LEVELS: Final = 4  # debug, information, warning, error
MAX_LOG_LINE: Final = 4_096  # characters; a longer line is cut, so that one line cannot be the whole log
_REF_LABEL: Final = b"lockgate guest message v1"
_PUBLIC_LABEL: Final = b"lockgate guest public-random v1"
_SECRET_LABEL: Final = b"lockgate guest secret-random v1"
_STORE: Final = ""  # an overlay names its stores; a guest has one


class Imports:
    """The host's side of one call."""

    def __init__(self, state: GuestState, env: GuestEnv) -> None:
        self._env = env
        self._limits = env.limits
        self._writes: Writes = {}
        self._view = _OneStore(state)
        self._state = Overlay(self._view, self._writes)
        self._state_bytes = env.state_bytes
        self._sends: list[Send] = []
        self._answers: dict[MessageRef, LateAnswer] = {}
        self._logs: list[LogLine] = []
        self._log_bytes = 0
        self._logs_dropped = 0
        self._draws = 0

    @property
    def failure(self) -> BaseException | None:
        """What the state view raised, if anything: the caller's business, never the guest's."""
        return self._view.failure

    @property
    def pending(self) -> int:
        """Keys written so far; a scan walks them all."""
        return len(self._writes)

    # --- lockgate:guest/messages

    def send(self, to: str, schema: str, body: bytes, timeout_s: int) -> MessageRef | str:
        """Queue a message; return its reference, or the word for what is wrong with it."""
        if not _may_name(schema):
            return "bad-schema"
        if not 0 < timeout_s <= self._env.longest_timeout_s:
            return "bad-timeout"
        if len(body) > self._limits.send_bytes:
            return "too-large"
        if len(to) > MAX_ALIAS or to not in self._env.peers:
            return "unknown-peer"
        if len(self._sends) >= self._limits.sends:
            raise Stopped(TrapKind.TOO_MANY_SENDS, f"more than {self._limits.sends} messages in one call")
        index = len(self._sends).to_bytes(4, "big")
        ref = MessageRef(hashlib.sha256(_REF_LABEL + self._env.call_id + index).digest())
        self._sends.append(Send(ref=ref, to=to, schema=schema, body=body, timeout_s=timeout_s))
        return ref

    def answer(self, id_: bytes, body: bytes) -> bool:
        return self._answer(MessageRef(id_), checked_reply(body, self._limits))

    def decline(self, id_: bytes, code: str, detail: str) -> bool:
        return self._answer(MessageRef(id_), checked_refusal(code, detail, TrapKind.BAD_CALL))

    def _answer(self, id_: MessageRef, result: Reply | Refusal) -> bool:
        if id_ not in self._env.deferred or id_ in self._answers:
            return False
        if len(self._answers) >= self._limits.answers:
            raise Stopped(TrapKind.TOO_MANY_ANSWERS, f"more than {self._limits.answers} answers in one call")
        self._answers[id_] = LateAnswer(id_, result)
        return True

    # --- lockgate:guest/state

    def get(self, key: bytes) -> bytes | None:
        self._check_key(key)
        return self._state.get(_STORE, key)

    def set(self, key: bytes, value: bytes) -> None:
        self._check_key(key)
        if not value:
            raise Stopped(TrapKind.BAD_CALL, "a value is not empty")
        if len(value) > self._limits.value_bytes:
            raise Stopped(TrapKind.STATE_TOO_LARGE, f"a value of {len(value)} bytes")
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        self._check_key(key)
        self._write(key, None)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if not end:
            end = b"\xff" * (self._limits.key_bytes + 1)
        found: list[tuple[bytes, bytes]] = []
        size = 0
        for key, value in self._state.scan(_STORE, start, end):
            size += len(key) + len(value)
            if len(found) >= min(limit, self._limits.scan_items) or (found and size > self._limits.scan_bytes):
                break
            found.append((key, value))
        return found

    def _check_key(self, key: bytes) -> None:
        if not 0 < len(key) <= self._limits.key_bytes:
            raise Stopped(TrapKind.BAD_CALL, f"a key of {len(key)} bytes")

    def _write(self, key: bytes, value: bytes | None) -> None:
        old = self._state.get(_STORE, key)
        size = self._state_bytes + _size(key, value) - _size(key, old)
        if size > self._limits.state_bytes and _size(key, value) > _size(key, old):
            raise Stopped(TrapKind.STATE_TOO_LARGE, f"{size} bytes of state")
        if (_STORE, key) not in self._writes and len(self._writes) >= self._limits.writes:
            raise Stopped(TrapKind.STATE_TOO_LARGE, f"more than {self._limits.writes} keys written in one call")
        self._state_bytes = size
        self._writes[(_STORE, key)] = value

    # --- lockgate:guest/ledger, random, log

    def time(self) -> int:
        return self._env.ledger_time

    def public_random(self, count: int) -> bytes:
        return self._draw(_PUBLIC_LABEL + self._env.public_seed, count)

    def secret_random(self, count: int) -> bytes:
        return self._draw(_SECRET_LABEL + self._env.secret_seed, count)

    def _draw(self, seed: bytes, count: int) -> bytes:
        if count > self._limits.random_bytes:
            raise Stopped(TrapKind.BAD_CALL, f"{count} random bytes in one request")
        self._draws += 1
        return hashlib.shake_256(seed + self._draws.to_bytes(8, "big")).digest(count)

    def log(self, level: int, text: str) -> None:
        line = shown(text, MAX_LOG_LINE)
        size = len(line.encode())
        if len(self._logs) >= self._limits.logs or self._log_bytes + size > self._limits.log_bytes:
            self._logs_dropped += 1
            return
        self._log_bytes += size
        self._logs.append(LogLine(min(level, LOG_LEVELS - 1), line))

    # --- the end of the call

    def outcome(self, result: Result, fuel_used: int) -> GuestOutcome:
        """Close the call. A refusal or a trap leaves nothing behind but its log."""
        acted = not isinstance(result, (Refusal, GuestTrap))
        return GuestOutcome(
            result=result,
            writes=tuple(sorted((key, value) for (_, key), value in self._writes.items())) if acted else (),
            sends=tuple(self._sends) if acted else (),
            answers=tuple(self._answers.values()) if acted else (),
            logs=tuple(self._logs),
            logs_dropped=self._logs_dropped,
            fuel_used=fuel_used,
            state_bytes=self._state_bytes if acted else self._env.state_bytes,
        )


def _may_name(schema: str) -> bool:
    """Is it the name of a schema, and of one that guests speak?"""
    try:
        return not schema_ref(schema).id.startswith(RESERVED)
    except BadSchemaName:
        return False


def _size(key: bytes, value: bytes | None) -> int:
    return 0 if value is None else len(key) + len(value)


class _OneStore:
    """A guest's state as a `View` with a single store, which remembers what the state raised."""

    __slots__ = ("_state", "failure")

    def __init__(self, state: GuestState) -> None:
        self._state = state
        self.failure: BaseException | None = None

    def get(self, store: str, key: bytes, /) -> bytes | None:
        try:
            return self._state.get(key)
        except BaseException as failure:
            self.failure = failure
            raise

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._state.scan(start, end)
        except Exception as failure:
            self.failure = failure
            raise


__all__ = ("LOG_LEVELS", "Imports")
