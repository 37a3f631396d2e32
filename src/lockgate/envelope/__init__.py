"""Sealed messages between endpoints, and COSE, which they are made of.

- `seal`: `seal_envelope`, `open_envelope`; the value `Opened` proves both encryption and author
- `in_session`: the same under the keys of a session; `outside`: what anyone can read of either
- `binding`: what an envelope binds (P17): `Context`, `SenderChoice`, `Binding`
- `content`: what its author signs: views of both ledgers (P20), schema, body, padding
- `chunks`, `chunk_tree`: bulk bodies, sealed and checked one chunk at a time (I8)
- `bulk`, `ports`: what a packet carries of a bulk body, and what its chunks need of a transport
- `cose`: the messages of RFC 9052, keys, countersignatures, COSE-HPKE, fast frames
- `schemas`: schema ids for `codec.registry`; CDDL texts in `cddl/`
- `errors`: one public code for whatever does not open (P3), typed reasons below it
"""

from lockgate.envelope.binding import (
    CONTENT_SCHEMA,
    ENCODING,
    VERSION,
    Binding,
    Context,
    MessageId,
    Role,
    SenderChoice,
)
from lockgate.envelope.chunks import (
    CHUNK_BYTES,
    ChunkOpener,
    ChunkSealer,
    Complete,
    Descriptor,
    Progress,
    SealedChunk,
    open_chunk,
    open_stream,
    seal_stream,
    verify_chunk,
)
from lockgate.envelope.content import MAX_BODY, Content, LedgerView
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.in_session import open_in_session, seal_in_session
from lockgate.envelope.outside import Outside, inspect_envelope
from lockgate.envelope.schemas import SCHEMAS
from lockgate.envelope.seal import MAX_ENVELOPE, Opened, open_envelope, seal_envelope

__all__ = (
    "CHUNK_BYTES",
    "CONTENT_SCHEMA",
    "ENCODING",
    "MAX_BODY",
    "MAX_ENVELOPE",
    "SCHEMAS",
    "VERSION",
    "BadEnvelope",
    "Binding",
    "ChunkOpener",
    "ChunkSealer",
    "Complete",
    "Content",
    "Context",
    "Descriptor",
    "LedgerView",
    "MessageId",
    "Opened",
    "Outside",
    "Progress",
    "Role",
    "SealedChunk",
    "SenderChoice",
    "inspect_envelope",
    "open_chunk",
    "open_envelope",
    "open_in_session",
    "open_stream",
    "seal_envelope",
    "seal_in_session",
    "seal_stream",
    "verify_chunk",
)
