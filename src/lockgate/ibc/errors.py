"""What IBC refuses, each with a stable code and the number ibc-go v11 gives the same refusal.

Codespaces and numbers are those of ibc-go's registered errors (`channelv2`, `client`, `clientv2`,
`commitment`, `host`, `ibc`), so a relayer written for that world reads our results. Every one of
them fails the whole transaction; a duplicate relay is not among them: it succeeds and does nothing.
"""

from __future__ import annotations

from typing import Final

from lockgate.primitives.errors import Misuse, PeerFault, Refused, Unavailable

CHANNEL: Final = "channelv2"
CLIENT: Final = "client"
CLIENT_V2: Final = "clientv2"
COMMITMENT: Final = "commitment"
HOST: Final = "host"
CORE: Final = "ibc"
SDK: Final = "sdk"  # what a Cosmos node answers where a query itself is at fault

_KEPT: Final = "The packet's commitment, receipt and acknowledgement are as they were."


class UnknownMessage(PeerFault):
    code = "ibc.message_unknown"
    summary = "No IBC message of this type is handled here."
    next_step = "Use one of the type URLs of ibc.core.client and ibc.core.channel.v2."
    wire = (CORE, 4)


class BadHostIdentifier(PeerFault):
    code = "ibc.identifier"
    summary = "A client or port identifier has a form that ICS-24 does not allow."
    next_step = "Use 8 to 64 characters for clients, 2 to 128 for ports, of the ICS-24 set."
    wire = (HOST, 2)


class BadPacket(PeerFault):
    code = "ibc.packet_invalid"
    summary = "A field of the packet is out of its range."
    next_step = "Rebuild the packet from the send_packet event, unchanged."
    wire = (CHANNEL, 2)


class BadPayload(PeerFault):
    code = "ibc.payload_invalid"
    summary = "A payload of the packet, or their number or size, is not allowed."
    next_step = "Send one payload (several only on own lanes), each field filled, at most 256 KiB in all."
    wire = (CHANNEL, 3)


class CommitmentMismatch(PeerFault):
    code = "ibc.commitment_mismatch"
    summary = "The packet is not the one this ledger sent under that sequence."
    untouched = _KEPT
    next_step = "Relay the packet exactly as the send_packet event gives it."
    wire = (CHANNEL, 2)


class ReceiptMissing(Refused):
    code = "ibc.receipt_missing"
    summary = "An acknowledgement was to be written for a packet that was not received."
    next_step = "Deliver the packet first."
    wire = (CHANNEL, 2)


class DeferredAmongSeveral(Refused):
    code = "ibc.deferred_among_several"
    summary = "An application deferred one of several payloads, which only a held packet may do."
    untouched = _KEPT
    next_step = "Send this payload alone, or on a lane that holds packets as a whole."
    wire = (CHANNEL, 2)


class SendSequenceMissing(Refused):
    code = "ibc.send_sequence_missing"
    summary = "The client has no next send sequence."
    next_step = "Register the client's counterparty; that sets the sequence to 1."
    wire = (CHANNEL, 4)


class BadAcknowledgement(PeerFault):
    code = "ibc.acknowledgement_invalid"
    summary = "The acknowledgement list is empty, has an empty element, or mixes in the error sentinel."
    untouched = _KEPT
    next_step = "Relay the acknowledgement exactly as the write_acknowledgement event gives it."
    wire = (CHANNEL, 5)


class AcknowledgementCount(PeerFault):
    code = "ibc.acknowledgement_count"
    summary = "A success acknowledgement does not have one element per payload."
    untouched = _KEPT
    next_step = "Return one acknowledgement for each payload, in the order of the payloads."
    wire = (CHANNEL, 5)


class SentinelAsSuccess(Refused):
    code = "ibc.sentinel_as_success"
    summary = "An application returned the error sentinel as its success acknowledgement."
    untouched = _KEPT
    next_step = "Reject the packet instead; the sentinel is then written for it."
    wire = (CHANNEL, 5)


class AcknowledgementUnnamed(PeerFault):
    code = "ibc.acknowledgement_unnamed"
    summary = "An acknowledgement on an own lane does not start with the commitment of its packet (P4)."
    untouched = _KEPT
    next_step = "Check that both clients of the lane are the ones it was opened with; do not relay again."
    wire = (CHANNEL, 5)


class HeldPacketMissing(Refused):
    code = "ibc.held_packet_missing"
    summary = "No packet waits for an acknowledgement under that client and sequence."
    next_step = "Check the client and sequence; an acknowledgement is written once."
    wire = (CHANNEL, 5)


class CommitmentNotFound(Refused):
    code = "ibc.commitment_not_found"
    summary = "There is no packet commitment under that client and sequence."
    next_step = "The packet was never sent here, or has ended: look for its acknowledgement or timeout."
    wire = (CHANNEL, 6)


class AcknowledgementNotFound(Refused):
    code = "ibc.acknowledgement_not_found"
    summary = "There is no acknowledgement under that client and sequence."
    next_step = "The packet was not received, or waits for its answer."
    wire = (CHANNEL, 7)


class BadTimeout(PeerFault):
    code = "ibc.timeout_invalid"
    summary = "The packet has no timeout."
    next_step = "Give a timeout in whole Unix seconds, at most 24 hours ahead."
    wire = (CHANNEL, 8)


class TimeoutTooFar(Refused):
    code = "ibc.timeout_too_far"
    summary = "The timeout lies more than 24 hours after the block time."
    next_step = "Give an earlier timeout, in whole Unix seconds (not nanoseconds)."
    wire = (CHANNEL, 8)


class TimeoutElapsed(Refused):
    code = "ibc.timeout_elapsed"
    summary = "The packet's timeout has passed."
    next_step = "Sending: give a later timeout. Relaying: prove the timeout to the sender's ledger."
    wire = (CHANNEL, 9)


class TimeoutNotReached(Unavailable):
    code = "ibc.timeout_not_reached"
    summary = "The remote header at the proof height is earlier than the packet's timeout."
    untouched = _KEPT
    next_step = "Update the client to a header at or past the timeout and prove absence there."
    wire = (CHANNEL, 10)


class AcknowledgementExists(Refused):
    code = "ibc.acknowledgement_exists"
    summary = "The packet has its acknowledgement already."
    untouched = _KEPT
    next_step = "Nothing to do: an acknowledgement is written once and never changed."
    wire = (CHANNEL, 11)


class CounterpartyMismatch(PeerFault):
    code = "ibc.counterparty_mismatch"
    summary = "The packet names another client than the registered counterparty."
    next_step = "Relay between the two clients that name each other."
    wire = (CLIENT_V2, 34)


class BadCounterparty(PeerFault):
    code = "ibc.counterparty_invalid"
    summary = "The counterparty record has no usable merkle prefix."
    next_step = 'Give the remote store path, ["ibc", ""] for a Cosmos SDK or Lockgate ledger.'
    wire = (CLIENT_V2, 34)


class CounterpartyNotFound(Refused):
    code = "ibc.counterparty_not_found"
    summary = "The client has no registered counterparty."
    next_step = "The creator of the client registers it, once."
    wire = (CLIENT_V2, 35)


class CounterpartyAlreadySet(Refused):
    code = "ibc.counterparty_set"
    summary = "The client's counterparty is registered already and never changes."
    next_step = "Create a new pair of clients."
    wire = (CORE, 8)


class NotCreator(Refused):
    code = "ibc.not_creator"
    summary = "Only the account that created the client (or, for its configuration, an authority) may do this."
    next_step = "Sign with the account that created the client."
    wire = (CORE, 2)


class RelayerNotAllowed(Refused):
    code = "ibc.relayer_not_allowed"
    summary = "The client has a list of allowed relayers and the signer is not on it."
    next_step = "Use an allowed account, or ask the client's creator to change the list."
    wire = (CORE, 2)


class SignerMismatch(Refused):
    code = "ibc.signer_mismatch"
    summary = "The signer named in the message is not the account that signed the transaction."
    next_step = "Name the signing account in the message."
    wire = (CORE, 5)


class CreatorNotFound(Refused):
    code = "ibc.creator_not_found"
    summary = "The client has no recorded creator."
    next_step = "Nothing to do: it was deleted before, or no such client exists."
    wire = (CORE, 16)


class TooLarge(PeerFault):
    code = "ibc.too_large"
    summary = "A list or byte string of the message is longer than allowed."
    next_step = "See the limits in docs/reference."
    wire = (CORE, 17)


class BadClientType(PeerFault):
    code = "ibc.client_type"
    summary = "The client's type is unknown, not allowed here, or differs between its two states."
    next_step = "Use a client type of the ledger's allowed list."
    wire = (CLIENT, 10)


class ClientNotActive(Refused):
    code = "ibc.client_not_active"
    summary = "The client is frozen, expired or unknown, so nothing is verified through it."
    next_step = "Expired: recover it with a substitute. Frozen: see the evidence; governance decides."
    wire = (CLIENT, 29)


class ClientHeightZero(Refused):
    code = "ibc.client_height_zero"
    summary = "The client has no header yet."
    next_step = "Update the client first."
    wire = (CLIENT, 26)


class RecoveryRefused(Refused):
    code = "ibc.recovery_refused"
    summary = "The client to be recovered is active."
    next_step = "Nothing to recover: go on using the client."
    wire = (CLIENT, 24)


class RecoveryHeight(Refused):
    code = "ibc.recovery_height"
    summary = "The substitute client does not stand at a later height than the subject."
    next_step = "Update the substitute client, then recover."
    wire = (CLIENT, 26)


class BadSubstitute(PeerFault):
    code = "ibc.recovery_substitute"
    summary = "The substitute is the subject itself, or a client of another type."
    next_step = "Create another client of the same ledger and type, and recover with that."
    wire = (CLIENT, 27)


class BadUpgrade(PeerFault):
    code = "ibc.upgrade_invalid"
    summary = "The upgrade message lacks a proof or mixes client types."
    next_step = "Give both upgraded states of one client type and both proofs."
    wire = (CLIENT, 25)


class EmptyProof(PeerFault):
    code = "ibc.proof_empty"
    summary = "The message carries no proof."
    untouched = _KEPT
    next_step = "Query the value with its proof and put both layers into the message."
    wire = (COMMITMENT, 2)


class NoRoute(Refused):
    code = "ibc.no_route"
    summary = "No application is bound to the port."
    untouched = _KEPT
    next_step = "Check the port; a packet to a port nobody serves times out on its own."


class RouteConflict(Misuse):
    code = "ibc.route_conflict"
    summary = "Two applications claim the same port."
    next_step = "Give each application its own port or prefix."


class BadData(PeerFault):
    code = "ibc.transfer_data"
    summary = "The bytes are not an ICS-20 packet in the one form its encoding allows."
    next_step = "Encode with the ICS-20 codec; every accepted value re-encodes to itself."


class UnknownQuery(PeerFault):
    code = "ibc.query_unknown"
    summary = "No query of that path is answered here."
    next_step = "See the list of query paths in docs/reference."
    wire = (SDK, 6)


class BadQuery(PeerFault):
    code = "ibc.query_invalid"
    summary = "A field of the query request is out of range."
    next_step = "Correct the request; see the ibc.core query messages."
    wire = (SDK, 18)


class NothingFound(Refused):
    code = "ibc.query_nothing"
    summary = "The state holds no record that answers the query."
    next_step = "Check the client id, sequence or height of the request."
    wire = (SDK, 22)
