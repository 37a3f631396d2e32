"""What a run promises of its sessions: no key seals twice, and none is left of a message that has ended (P8, P18)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lockgate.codec.wire import tendermint_pb2
from lockgate.envelope.binding import SenderChoice
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.hosting.traffic import messages_of
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import LedgerParty
from lockgate.session import Book
from lockgate.storage.ledger import LedgerStore

MESSAGE: Final = "message"


class SealedOnce:
    """Two envelopes of a session under one key are one envelope. Read are all transactions, also those that failed."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        sealed = (one for party in outcome.history.ledgers for one in sealed_on(party))
        return [f"two envelopes under the key of {key[0]} {key[4]} of one start" for key in sealed_twice(sealed)]


def key_of(kind: str, choice: SenderChoice) -> tuple[object, ...]:
    """What names a key and a nonce: a message has its key to itself; a reply's key is met with its sealer's nonce."""
    place = (kind, choice.session, choice.epoch, choice.start_salt, choice.place)
    return (*place, choice.fence) if kind == MESSAGE else (*place, choice.nonce)


class Erased:
    """Once every packet has ended, a host that stands holds no key of any: none to open with, none for a reply."""

    def complaints(self, outcome: Outcome, /) -> Sequence[str]:
        found = []
        for host in outcome.history.acting():
            saved = host.vault.get("sessions")
            book = Book() if saved is None else Book.from_bytes(saved)
            if book.owed or book.awaited:
                found.append(f"{host.name}: keys are left of {len(book.owed)} received and {len(book.awaited)} sent")
        return found


def sealed_on(party: LedgerParty) -> Iterator[tuple[str, bytes]]:
    """Every envelope in a ledger's blocks, as endpoints posted it: of messages, replies and refusals."""
    store, height = LedgerStore(party.disk, None), 0
    while (row := store.block(height + 1)) is not None:
        height += 1
        for transaction in tendermint_pb2.Block.FromString(row.block).data.txs:
            yield from sealed_in(transaction)


def sealed_in(transaction: bytes) -> Iterator[tuple[str, bytes]]:
    """Every envelope in one transaction, whatever became of it."""
    for _, content in messages_of(transaction):
        if isinstance(content, Mapping):
            yield from _in(content)


def sealed_twice(sealed: Iterable[tuple[str, bytes]]) -> list[tuple[object, ...]]:
    """Keys, each with its nonce, under which two unlike envelopes of sessions are sealed."""
    found: dict[tuple[object, ...], bytes] = {}
    twice = []
    for kind, envelope in sealed:
        choice = _choice(envelope)
        if choice is not None and found.setdefault(key := key_of(kind, choice), envelope) != envelope:
            twice.append(key)
    return twice


def _in(content: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for send in content.get("sends", ()):
        yield MESSAGE, send["value"]
    if "ack" in content:
        yield "reply", content["ack"]
    _, detail = content.get("refusal", ("", b""))
    if detail:
        yield "reply", detail


def _choice(envelope: bytes) -> SenderChoice | None:
    try:
        choice = inspect_envelope(envelope).choice
    except BadEnvelope:  # an adversary's
        return None
    return None if choice.session is None else choice


__all__ = ("Erased", "SealedOnce", "key_of", "sealed_in", "sealed_on", "sealed_twice")
