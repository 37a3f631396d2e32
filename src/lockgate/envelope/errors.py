"""Failures of envelopes and COSE messages. Two audiences, kept apart (P3).

`BadEnvelope` is the one public face: whatever made a sealed body unreadable, its code is the same, so
an attacker who sends altered envelopes learns nothing from the answers. What happened stands in the
chain below it (`__cause__`), which stays with the host. Everything else here is such a detail, or is
met by callers of the COSE layer, who hold no secret a peer could probe.
"""

from __future__ import annotations

from lockgate.codec.errors import Malformed
from lockgate.primitives.errors import Misuse, PeerFault, Refused, Unavailable

_NOT_OPENED = "Nothing was opened or verified; no part of the content was returned."


class BadEnvelope(Refused):
    code = "envelope.rejected"
    summary = "The receiver could not open or authenticate the message. The reason stays with the receiver (P3)."
    untouched = "The receiver ran nothing."
    next_step = "Check both endpoints' key records and the clocks; the receiver's log has the detail."


class CoseMalformed(PeerFault):
    code = "cose.malformed"
    summary = "Bytes are not the COSE message that was expected: wrong tag, shape or type of a field."
    untouched = _NOT_OPENED
    next_step = "Drop the message; compare it with RFC 9052 and its CDDL."


class BadHeader(PeerFault):
    code = "cose.bad_header"
    summary = "A COSE header breaks a rule: a label twice, a wrong type, or a parameter in the wrong bucket."
    untouched = _NOT_OPENED
    next_step = "Drop the message; RFC 9052 section 3 states the rules."


class CriticalHeader(Refused):
    code = "cose.critical_header"
    summary = "A header parameter marked critical is not understood here."
    untouched = _NOT_OPENED
    next_step = "Upgrade, or ask the sender not to mark the parameter critical."


class AlgorithmNotAllowed(Refused):
    code = "cose.algorithm_not_allowed"
    summary = "A message names an algorithm that is unknown, missing, or not in the verifier's allowed set."
    untouched = _NOT_OPENED
    next_step = "Use one of the algorithms of docs/reference/algorithms.md that the verifier allows."


class KeyNotForUse(Refused):
    code = "cose.key_not_for_use"
    summary = "A key is bound to another algorithm, use or recipient than the message asks of it."
    untouched = _NOT_OPENED
    next_step = "Take the key made for this algorithm and use; a key has one."


class CoseKeyMalformed(PeerFault):
    code = "cose.key_malformed"
    summary = "A COSE_Key lacks a parameter of its type, or has one of the wrong type or length."
    untouched = _NOT_OPENED
    next_step = "Take the key again from its owner; RFC 9053 section 7 lists the parameters."


class SignatureRefused(PeerFault):
    code = "cose.signature_refused"
    summary = "A COSE signature or countersignature does not verify."
    untouched = _NOT_OPENED
    next_step = "Drop the message; check that both sides use the same external data."


class TagRefused(PeerFault):
    code = "cose.tag_refused"
    summary = "A COSE message authentication code does not verify."
    untouched = _NOT_OPENED
    next_step = "Drop the message; check that both sides use the same key and external data."


class DecryptionRefused(PeerFault):
    code = "cose.decryption_refused"
    summary = "A COSE ciphertext does not authenticate under its key, nonce and associated data."
    untouched = _NOT_OPENED
    next_step = "Drop the message; ask the sender to encrypt it again."


class NoRecipient(Refused):
    code = "cose.no_recipient"
    summary = "No recipient of a COSE message is addressed to this key, or none of them gave up its key."
    untouched = _NOT_OPENED
    next_step = "Check that the sender used this recipient's current public key."


class DetachedContent(PeerFault):
    code = "cose.detached_content"
    summary = "Detached content is missing, or was given although the message carries its own."
    untouched = _NOT_OPENED
    next_step = "Drop the message, or pass the content that travelled beside it."


class MessageMisuse(Misuse):
    code = "cose.misuse"
    summary = "A COSE message was asked for that the standard does not allow."
    next_step = "Report this: the caller combined parameters that exclude each other."


class BindingMismatch(PeerFault):
    code = "envelope.binding_mismatch"
    summary = "An envelope does not name the suite, version, encoding or place its packet has."
    next_step = "Drop the message; it was sealed for another packet."


class ContentMalformed(Malformed):
    code = "envelope.content_malformed"
    summary = "The content of an opened envelope has another shape or padding than its one encoding."
    next_step = "Drop the message; ask the sender for its software version."


class SignersWrong(PeerFault):
    code = "envelope.signers_wrong"
    summary = "An envelope has not exactly the signers of its sender's suite, in order, or one does not verify."
    next_step = "Drop the message; verify the sender's key record chain."


class BadBinding(Misuse):
    code = "envelope.bad_binding"
    summary = "A field of an envelope's binding is out of its range."
    next_step = "Report this: the caller passed a value that no packet has."


class BodyTooLarge(Misuse):
    code = "envelope.body_too_large"
    summary = "A body exceeds what travels inside a packet (I8)."
    next_step = "Send the body in chunks and seal their descriptor."


class ChunkRefused(PeerFault):
    code = "chunks.refused"
    summary = "A chunk does not authenticate at its place: altered, moved, repeated, cut or from another stream."
    untouched = "The chunk was dropped; chunks before it stand."
    next_step = "Fetch the chunk again, from another source if it fails twice."


class StreamLength(PeerFault):
    code = "chunks.length"
    summary = "A chunked body ends too early, goes on past its end, or has another length than its descriptor."
    untouched = "The body is not complete and was not handed on as such."
    next_step = "Fetch the missing chunks; if the descriptor is wrong, ask the sender to send again."


class DescriptorMalformed(Malformed):
    code = "chunks.descriptor_malformed"
    summary = "A chunk descriptor or a resume record does not have the shape of its schema."
    next_step = "Drop the message; ask the sender for its software version."


class StreamMisuse(Misuse):
    code = "chunks.misuse"
    summary = "A chunk stream was fed out of turn: after its end, a short chunk before it, or a number out of range."
    next_step = "Report this: the caller must feed full chunks and one last chunk."


class BulkMalformed(Malformed):
    code = "bulk.malformed"
    summary = "The record of a bulk body does not have the shape of its schema."
    next_step = "Drop the message; ask the sender for its software version."


class ForeignLocator(Refused):
    code = "bulk.foreign_locator"
    summary = "A locator of a bulk body does not name a blob: it is of another kind, or altered."
    untouched = "Nothing was contacted and nothing was read."
    next_step = "Ask the sender to send the body again; a locator never names an address or a path."


class BulkTooLarge(Refused):
    code = "bulk.too_large"
    summary = "A bulk body is longer than this host sends or takes."
    untouched = "Nothing was read, fetched or written."
    next_step = "Split the body, or raise `bulk_bytes` in both hosts' configuration."


class BulkNoRoom(Unavailable):
    code = "bulk.no_room"
    summary = "There is no room for a bulk body: the disk, or the quota of the folder it goes to, is full."
    untouched = "Bodies and blobs that were there before stand; the unfinished one was removed."
    next_step = "Free space: received bodies are removed with `lockgate inbox`, sent ones when their packets end."


class FileUnreadable(Refused):
    code = "bulk.unreadable"
    summary = "A file to be sent cannot be read by the host, or is no regular file."
    untouched = "Nothing was sealed or sent."
    next_step = "Name a regular file that the host process may read."


class BlobGone(Refused):
    code = "bulk.gone"
    summary = "The peer serves no blob under this locator, or not the part that was asked for."
    untouched = "Chunks that were received before stand."
    next_step = "Ask the sender to send the body again; it deletes a blob when its packet has ended."


class ChannelBroken(PeerFault):
    code = "bulk.channel_broken"
    summary = "The other end of a blob channel does not speak its protocol, or ended in mid-chunk."
    untouched = "The unfinished chunk was dropped; chunks before it stand."
    next_step = "Nothing while it is tried again; check who listens at the peer's blob address."


class ChannelDown(Unavailable):
    code = "bulk.channel_down"
    summary = "A blob channel cannot be reached, is busy, or is slower than a chunk may take."
    untouched = "Chunks that were received before stand."
    next_step = "Nothing while it is tried again; check that the sending host runs and its blob address."


__all__ = (
    "AlgorithmNotAllowed",
    "BadBinding",
    "BadEnvelope",
    "BadHeader",
    "BindingMismatch",
    "BlobGone",
    "BodyTooLarge",
    "BulkMalformed",
    "BulkNoRoom",
    "BulkTooLarge",
    "ChannelBroken",
    "ChannelDown",
    "ChunkRefused",
    "ContentMalformed",
    "CoseKeyMalformed",
    "CoseMalformed",
    "CriticalHeader",
    "DecryptionRefused",
    "DescriptorMalformed",
    "DetachedContent",
    "FileUnreadable",
    "ForeignLocator",
    "KeyNotForUse",
    "MessageMisuse",
    "NoRecipient",
    "SignatureRefused",
    "SignersWrong",
    "StreamLength",
    "StreamMisuse",
    "TagRefused",
)
