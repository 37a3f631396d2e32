"""What a host seals and opens: contexts rebuilt from proven facts, the P20 view, replies and refusals.

`Peer` is what the host has proven about the endpoint at the other end of a lane; `Place` is a packet
as its ledgers prove it. Together they give every field of P17 without a word from the envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lockgate.codec.errors import SchemaMismatch
from lockgate.codec.registry import SchemaName
from lockgate.crypto.keys import IdentitySigner
from lockgate.crypto.ports import Decapsulator, Encapsulator
from lockgate.envelope.binding import CONTENT_SCHEMA, ENCODING, VERSION, Binding, Context, Role, SenderChoice
from lockgate.envelope.content import Content, LedgerView
from lockgate.envelope.in_session import open_in_session, seal_in_session
from lockgate.envelope.seal import Opened, open_envelope, seal_envelope
from lockgate.machine.identity import KeyRecord
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId, DomainId
from lockgate.primitives.time import UnixSeconds

_NAME: Final = re.compile(r"(?P<id>[^@]{1,64})@(?P<major>[1-9][0-9]{0,4})\.(?P<minor>0|[1-9][0-9]{0,4})\Z", re.ASCII)


class BadSchemaName(PeerFault):
    code = "host.bad_schema"
    summary = "A schema is named id@major.minor: lower-case words joined by - and /, and numbers up to 65535."
    untouched = "The message was not sent."
    next_step = "Name the schema as in `quote@1.0`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane from this endpoint's side: both domains, both clients, both revisions."""

    local_domain: DomainId
    remote_domain: DomainId
    local_client: ClientId
    remote_client: ClientId
    local_revision: int
    remote_revision: int

    def turned(self) -> Lane:
        """The same lane from the peer's side."""
        return Lane(
            local_domain=self.remote_domain,
            remote_domain=self.local_domain,
            local_client=self.remote_client,
            remote_client=self.local_client,
            local_revision=self.remote_revision,
            remote_revision=self.local_revision,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where an envelope stands (P17): in which payload of how many, and which packet it answers, if any.

    A reply and a refusal have the place of the message that they answer.
    """

    role: Role
    timeout: UnixSeconds
    request: bytes = b""  # commitment of the packet that is answered
    index: int = 0
    count: int = 1


def outgoing(lane: Lane, local: KeyRecord, peer: KeyRecord, place: Place) -> Context:
    """Context of an envelope this endpoint seals to `peer`."""
    return Context(
        suite=peer.sealing.suite,
        role=place.role,
        source_domain=lane.local_domain,
        destination_domain=lane.remote_domain,
        source_client=lane.local_client,
        destination_client=lane.remote_client,
        source_endpoint=local.endpoint_id,
        destination_endpoint=peer.endpoint_id,
        source_key_record=local.hash,
        destination_key_record=peer.hash,
        source_revision=lane.local_revision,
        timeout=place.timeout,
        payload_index=place.index,
        payload_count=place.count,
        version=VERSION,
        encoding=ENCODING,
        schema=CONTENT_SCHEMA,
        request=place.request,
    )


def incoming(lane: Lane, local: KeyRecord, peer: KeyRecord, place: Place) -> Context:
    """Context of an envelope `peer` sealed to this endpoint: the same place, seen from the other side."""
    return outgoing(lane.turned(), peer, local, place)


def seal(
    context: Context,
    signer: IdentitySigner,
    peer: KeyRecord,
    choice: SenderChoice,
    views: tuple[LedgerView, LedgerView],
    schema: SchemaName,
    body: bytes,
    encapsulator: Encapsulator,
) -> bytes:
    """Sign and seal one body. `views` are (own ledger, other ledger) as this host saw them (P20)."""
    content = Content(source_seen=views[0], destination_seen=views[1], schema=schema, body=body)
    return seal_envelope(Binding(context, choice), content, signer, peer.sealing, encapsulator)


def seal_within(
    context: Context,
    choice: SenderChoice,
    views: tuple[LedgerView, LedgerView],
    schema: SchemaName,
    body: bytes,
    key: bytes,
) -> bytes:
    """Seal one body in a session, under the key of one message or reply."""
    content = Content(source_seen=views[0], destination_seen=views[1], schema=schema, body=body)
    return seal_in_session(Binding(context, choice), content, key)


def unseal(context: Context, sealing: Decapsulator, peer: KeyRecord, data: bytes) -> Opened:
    """Open one envelope and verify its author. Raises BadEnvelope, one code for every cause (P3)."""
    return open_envelope(context, data, sealing, peer.identity)


def unseal_within(context: Context, key: bytes, peer: KeyRecord, data: bytes) -> Opened:
    """Open one envelope in a session with `peer`. Raises BadEnvelope, as `unseal` does."""
    return open_in_session(context, data, key, peer.identity)


def schema_ref(name: str) -> SchemaName:
    """Read `id@major.minor`: exactly the names that a content can carry (`SchemaName`). Raises BadSchemaName."""
    match = _NAME.match(name)
    if match is None:
        raise BadSchemaName("not id@major.minor", schema=name)
    try:
        return SchemaName.from_value((match["id"], int(match["major"]), int(match["minor"])))
    except SchemaMismatch as error:
        raise BadSchemaName("not the name of a schema", schema=name) from error


def schema_name(ref: SchemaName) -> str:
    return f"{ref.id}@{ref.version}"
