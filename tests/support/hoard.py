"""A recorder that has kept everything of a deployment, and is handed more later: can it open one message? (P18)

It knows what both endpoints know of where an envelope stands. Of keys it has what it finds: in the keystores, unlocked;
in the vaults of sessions; and any string of 32 bytes in a file or in what a file gave, tried as every kind of key that
the chains of a session have. Handed the keys of sessions as they were, it opens everything, so a test that it opens
nothing can fail.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.wire import tendermint_pb2
from lockgate.crypto.commitment import key_commitment
from lockgate.crypto.keys import KeyRole
from lockgate.crypto.ports import Decapsulator
from lockgate.engines.embedded.results import BlockResults
from lockgate.envelope.binding import Binding, Context, Role, SenderChoice
from lockgate.envelope.content import Content
from lockgate.envelope.cose.labels import KEY_COMMITMENT
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.in_session import parse_in_session
from lockgate.envelope.outside import inspect_envelope
from lockgate.host.sealing import Lane, Place, outgoing, unseal, unseal_within
from lockgate.hosting.config import HostConfig
from lockgate.hosting.sessions import place_of
from lockgate.hosting.traffic import messages_of
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.identity import wanted_keys
from lockgate.node.keystores import open_keystore
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, DomainId, Hash32, revision_number
from lockgate.session import Book
from lockgate.session.chain import message_of, next_message, reply_of
from lockgate.session.errors import SessionDamaged
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.sessions import SessionVault

LINKS = 16  # of a chain of messages, walked from every string that may be one
KEY_BYTES = 32
SCHEMA_OF_HANDSHAKES = "session/handshake"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One envelope as a ledger has it, with all that is public of its place. `of` is the commitment of its packet."""

    role: Role
    data: bytes
    choice: SenderChoice
    context: Context
    author: KeyRecord
    of: bytes

    @property
    def in_session(self) -> bool:
        return self.choice.session is not None

    def with_key(self, key: bytes) -> Content | None:
        try:
            return unseal_within(self.context, key, self.author, self.data).content
        except BadEnvelope:
            return None

    def with_sealing(self, sealing: Decapsulator) -> Content | None:
        try:
            return unseal(self.context, sealing, self.author, self.data).content
        except BadEnvelope:
            return None


@dataclass
class Keys:
    """What a thief has: long-term keys that unseal, books of sessions, and strings that may be anything."""

    sealing: list[Decapsulator] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
    strings: set[bytes] = field(default_factory=set)

    def open_(self, one: Recorded) -> Content | None:
        """The content of an envelope, if anything here gives it."""
        if not one.in_session:
            return next((found for key in self.sealing if (found := one.with_sealing(key)) is not None), None)
        for key in self._of_books(one):
            if (found := one.with_key(key)) is not None:
                return found
        return None

    def open_by_strings(self, one: Recorded) -> Content | None:
        """The same with every string, as the key of a message or reply, or a link that leads to it."""
        aad = Binding(one.context, one.choice).encode()
        commitment = parse_in_session(one.data).headers.protected[KEY_COMMITMENT]
        for string in self.strings:
            for guess in _guesses(string):
                if key_commitment(guess, aad) == commitment and (found := one.with_key(guess)) is not None:
                    return found
        return None

    def _of_books(self, one: Recorded) -> Iterator[bytes]:
        place = place_of(one.choice)
        for book in self.books:
            awaited = book.awaited.get(one.of)
            if awaited is not None:
                yield awaited.key
            for session in book:
                if session.name != place.session:
                    continue
                try:
                    keys, _ = session.open(place)
                except LockgateError:
                    continue
                yield keys.message if one.role is Role.MESSAGE else keys.reply


def _guesses(string: bytes) -> Iterator[bytes]:
    """A string as a message's key, as a reply's, and as a link of the chain of messages."""
    yield string
    yield reply_of(string)
    link = string
    for _ in range(LINKS):
        key = message_of(link)
        yield key
        yield reply_of(key)
        link = next_message(link)


# What was recorded.


def recorded(folder: Folder) -> list[Recorded]:
    """Every envelope in the blocks of a deployment's ledgers: messages, replies, and sealed words of refusals."""
    hosts = _Hosts.of(folder)
    stores = {name: _ledger(folder, name) for name in folder.names("ledgers")}
    try:
        sent = {name: list(_packets(store)) for name, store in stores.items()}
        known = {(name, p.source_client, p.sequence): p for name, many in sent.items() for p in many}
        found = [hosts.message(packet) for many in sent.values() for packet in many]
        for name, store in stores.items():
            for client, sequence, role, value in _answers(store):
                found += [
                    hosts.answer(role, packet, value)
                    for (source, _, number), packet in known.items()
                    if source != name and packet.destination_client == client and number == sequence
                ]
        return found
    finally:
        for store in stores.values():
            store.close()


def _ledger(folder: Folder, name: str) -> LedgerStore:
    path = folder.ledger(name) / "ledger.sqlite"
    return LedgerStore(sqlite3.connect(path, isolation_level=None), None)


def _packets(store: LedgerStore) -> Iterator[Packet]:
    height = 1
    while (row := store.block(height)) is not None:
        results = BlockResults.from_bytes(row.results)
        for event in (event for tx in results.transactions if tx.code == 0 for event in tx.events):
            if event.type == "send_packet":
                yield ibc_wire.read_packet(bytes.fromhex(event.get("encoded_packet_hex") or ""))
        height += 1


def _answers(store: LedgerStore) -> Iterator[tuple[str, int, Role, bytes]]:
    """Of every transaction, those too that failed: client, sequence, kind, envelope."""
    height = 1
    while (row := store.block(height)) is not None:
        for transaction in tendermint_pb2.Block.FromString(row.block).data.txs:
            for _, content in messages_of(transaction):
                if not isinstance(content, Mapping) or "client" not in content:
                    continue
                where = str(content["client"]), int(content["sequence"])
                if content.get("ack"):
                    yield *where, Role.REPLY, content["ack"]
                elif content.get("refusal", ("", b""))[1]:
                    yield *where, Role.REFUSAL, content["refusal"][1]
        height += 1


@dataclass(frozen=True, slots=True)
class _Hosts:
    by_endpoint: dict[str, tuple[HostConfig, KeyRecord]]

    @classmethod
    def of(cls, folder: Folder) -> _Hosts:
        found = {}
        for name in folder.names("hosts"):
            config = load_config(folder.host(name) / "endpoint.json")
            newest = SignedRecord.from_bytes(bytes.fromhex(config.records[-1]))
            found[config.endpoint] = config, KeyRecord.from_body(newest.body)
        return cls(found)

    def message(self, packet: Packet) -> Recorded:
        return self._of(Role.MESSAGE, packet, packet.payloads[0].value, b"")

    def answer(self, role: Role, packet: Packet, value: bytes) -> Recorded:
        return self._of(role, packet, value, commit_packet(packet))

    def _of(self, role: Role, packet: Packet, value: bytes, request: bytes) -> Recorded:
        author, receiver = packet.payloads[0].source_port, packet.payloads[0].destination_port
        if role is not Role.MESSAGE:
            author, receiver = receiver, author
        (config, own), (_, other) = self.by_endpoint[author], self.by_endpoint[receiver]
        place = Place(role, packet.timeout, request, 0, len(packet.payloads))
        context = outgoing(_lane(config, receiver), own, other, place)
        return Recorded(role, value, inspect_envelope(value).choice, context, own, commit_packet(packet))


def _lane(config: HostConfig, to: str) -> Lane:
    peer = next(peer for peer in config.peers.values() if peer.endpoint == to)
    remote = next(ref for ref in config.remotes if ref.name == peer.ledger)
    return Lane(
        local_domain=DomainId(Hash32(bytes.fromhex(config.local.domain))),
        remote_domain=DomainId(Hash32(bytes.fromhex(remote.domain))),
        local_client=ClientId(peer.local_client),
        remote_client=ClientId(peer.remote_client),
        local_revision=revision_number(config.local.chain_id),
        remote_revision=revision_number(remote.chain_id),
    )


# What was stolen.


def stolen(folder: Folder) -> Keys:
    """All that a folder gives: its keystores with the passphrase, its vaults, and every string in either."""
    keys = Keys()
    for name in folder.names("hosts"):
        home = folder.host(name)
        keystore = open_keystore(folder, home, wanted_keys)
        roles = keystore.kinds()
        keys.sealing += [keystore.sealing(one) for one, (role, _) in roles.items() if role is KeyRole.SEALING]
        keys.strings |= {key.seed.reveal() for key in keystore._keys.values() if len(key.seed.reveal()) == KEY_BYTES}
        keystore.close()
        keys.strings |= set(_windows(home / "unsaved"))
        vault = SessionVault.open(home, _NoEntropy())
        try:
            book = vault.load()
        except SessionDamaged:
            book = None
        finally:
            vault.close()
        if book is not None:
            keys.books.append(Book.from_bytes(book))
            keys.strings |= set(_strings(cbor.decode(book)))
    return keys


class _NoEntropy:
    def bytes(self, count: int) -> bytes:
        raise AssertionError("a thief writes nothing")


def _windows(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.key*")):
        data = path.read_bytes()
        for at in range(len(data) - KEY_BYTES + 1):
            if any(window := data[at : at + KEY_BYTES]):
                yield window


def _strings(value: Any) -> Iterator[bytes]:
    """Every byte string of 32 in a CBOR value, in what its byte strings hold, too."""
    match value:
        case bytes():
            if len(value) == KEY_BYTES:
                yield value
            try:
                inner = cbor.decode(value)
            except Malformed:
                return
            if not isinstance(inner, int):
                yield from _strings(inner)
        case Mapping():
            for key, one in value.items():
                yield from _strings(key)
                yield from _strings(one)
        case list() | tuple():
            for one in value:
                yield from _strings(one)


# What lies readable.


def lying(root: Path, words: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Which of these lie in a file below a folder: as they are, in hex, or in base64, at any place of it."""
    forms = [(word, form) for word in words for form in _forms(word)]
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [(str(path.relative_to(root)), word) for word, form in forms if form in data]
    return found


def _forms(word: bytes) -> Iterator[bytes]:
    yield word
    yield word.hex().encode()
    yield word.hex().upper().encode()
    for lead in range(3):  # wherever it stands in what was encoded; the characters at both ends are others'
        encoded = base64.b64encode(bytes(lead) + word)
        yield encoded[4 if lead else 0 : len(encoded) - 4]


__all__ = ("SCHEMA_OF_HANDSHAKES", "Keys", "Recorded", "lying", "recorded", "stolen")
