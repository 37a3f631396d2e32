"""What the machine refuses, each with a stable code. `lockgate explain CODE` prints these texts."""

from __future__ import annotations

from lockgate.primitives.errors import LockgateError, PeerFault, Refused

CODESPACE = "lockgate"
_TX = "The account's sequence and fee were not consumed; no state changed."
_MESSAGE = "No message of the transaction took effect; its sequence and fee were consumed."


class BadGenesis(PeerFault):
    code = "genesis.malformed"
    summary = "The genesis document is not valid."
    next_step = "Compare the document with machine/cddl/genesis.1.0.cddl, or fetch it again from its source."


class BadTransaction(PeerFault):
    code = "tx.malformed"
    summary = "The bytes are not a transaction in the one form this ledger accepts."
    untouched = _TX
    next_step = "Build transactions with the library; see machine/cddl/transaction.1.0.cddl."
    wire = (CODESPACE, 2)


class BadSignature(PeerFault):
    code = "tx.signature"
    summary = "The signature is not that of the account over this transaction on this ledger."
    untouched = _TX
    next_step = "Sign with the account's key, for this domain id and chain id."
    wire = (CODESPACE, 3)


class WrongDomain(Refused):
    code = "tx.wrong_domain"
    summary = "The transaction was signed for another ledger."
    untouched = _TX
    next_step = "Sign again with this ledger's domain id and chain id."
    wire = (CODESPACE, 4)


class AuthorityKey(Refused):
    code = "tx.authority_key"
    summary = "The account's key is part of an authority of this ledger, which signs no transaction (P16)."
    untouched = _TX
    next_step = "Submit the authority's signed action from any other account."
    wire = (CODESPACE, 63)


class WrongSequence(Refused):
    code = "tx.sequence"
    summary = "The sequence is not the next one of this account and nonce lane."
    untouched = _TX
    next_step = "Read the account, then sign with the expected sequence."
    wire = (CODESPACE, 5)


class TransactionExpired(Refused):
    code = "tx.expired"
    summary = "The ledger's time is past the transaction's valid_until."
    untouched = _TX
    next_step = "Sign a new transaction with a later valid_until."
    wire = (CODESPACE, 6)


class UnknownAccount(Refused):
    code = "tx.unknown_account"
    summary = "This ledger admits listed accounts only, and this one is not listed."
    untouched = _TX
    next_step = "Ask the ledger's authority to admit the account."
    wire = (CODESPACE, 7)


class FeeTooLow(Refused):
    code = "tx.fee"
    summary = "The fee is below gas limit times the minimum gas price, or above the balance."
    untouched = _TX
    next_step = "Raise the fee, lower the gas limit, or fund the account."
    wire = (CODESPACE, 8)


class OutOfGas(Refused):
    code = "tx.out_of_gas"
    summary = "The work of the transaction is above its gas limit."
    untouched = _MESSAGE
    next_step = "Simulate the transaction and sign with a higher gas limit."
    wire = (CODESPACE, 9)


class UnknownMessage(Refused):
    code = "tx.unknown_message"
    summary = "This ledger has no message of that name."
    untouched = _MESSAGE
    next_step = "See docs/reference/messages.md for the messages of this version."
    wire = (CODESPACE, 10)


class BadMessage(PeerFault):
    code = "tx.bad_message"
    summary = "A message does not have the shape its schema demands."
    untouched = _MESSAGE
    next_step = "Compare the message with its schema in machine/cddl/messages.1.0.cddl."
    wire = (CODESPACE, 11)


class BadKeyRecord(PeerFault):
    code = "endpoint.bad_record"
    summary = "The key record does not continue the endpoint's chain of records."
    untouched = _MESSAGE
    next_step = "A record is signed by the previous keys and opens the keys committed before it (P5)."
    wire = (CODESPACE, 20)


class EndpointExists(Refused):
    code = "endpoint.exists"
    summary = "The endpoint is registered on this ledger already."
    untouched = _MESSAGE
    next_step = "Use the registered endpoint, or rotate its keys."
    wire = (CODESPACE, 21)


class UnknownEndpoint(Refused):
    code = "endpoint.unregistered"
    summary = "No endpoint with this id is registered on this ledger."
    untouched = _MESSAGE
    next_step = "Register the endpoint's inception record first."
    wire = (CODESPACE, 22)


class EndpointRevoked(Refused):
    code = "endpoint.revoked"
    summary = "The endpoint was revoked on this ledger, for good."
    untouched = _MESSAGE
    next_step = "Create a new endpoint; its peers must grant it anew."
    wire = (CODESPACE, 23)


class NotTheEndpoint(Refused):
    code = "endpoint.not_its_account"
    summary = "The signing account is not one that the endpoint's key record lists."
    untouched = _MESSAGE
    next_step = "Sign with an account of the current key record."
    wire = (CODESPACE, 24)


class StaleFence(Refused):
    code = "endpoint.fenced_off"
    summary = "A newer start of this endpoint's host holds the fence (P8)."
    untouched = _MESSAGE
    next_step = "Stop this copy: another one acts for the endpoint."
    wire = (CODESPACE, 25)


class RootMismatch(Refused):
    code = "endpoint.state_root"
    summary = "The answer starts from a state that is not the endpoint's state on the ledger (P1)."
    untouched = _MESSAGE
    next_step = "This copy of the host is behind or restored: stop it, or let it catch up."
    wire = (CODESPACE, 26)


class NotInInbox(Refused):
    code = "inbox.no_entry"
    summary = "No open inbox entry for this packet: it was answered or its deadline passed."
    untouched = _MESSAGE
    next_step = "Drop the tentative execution; the packet has ended."
    wire = (CODESPACE, 30)


class AnswerTooLate(Refused):
    code = "inbox.deadline"
    summary = "The block is at or past the packet's answer deadline (I6)."
    untouched = _MESSAGE
    next_step = "Drop the tentative execution; the ledger acknowledges with the error sentinel."
    wire = (CODESPACE, 31)


class NoGrant(Refused):
    code = "inbox.no_grant"
    summary = "The destination endpoint has not granted its inbox to this sender on this lane (P15)."
    untouched = "The receiver ran nothing; the sender gets the error acknowledgement."
    next_step = "Ask the receiving endpoint to write a grant for this lane and sender."
    wire = (CODESPACE, 32)


class Busy(Refused):
    code = "inbox.busy"
    summary = "The inbox has no free slot for this grant, lane or ledger (P15)."
    untouched = "The receiver ran nothing; the sender gets the error acknowledgement."
    next_step = "Send again when earlier messages are answered."
    wire = (CODESPACE, 33)


class DeadlinePassed(Refused):
    code = "inbox.not_answered"
    summary = "The receiving host did not answer before the deadline."
    untouched = "Whatever the host ran tentatively was dropped."
    next_step = "Check that the receiving host runs; send again."
    wire = (CODESPACE, 34)


class GuestRefused(Refused):
    code = "guest.refused"
    summary = "The receiving guest refused the message."
    untouched = "The guest's state is unchanged."
    next_step = "See the guest's own reason, sealed in the reason record."
    wire = (CODESPACE, 36)


class GuestTrapped(Refused):
    code = "guest.trapped"
    summary = "The receiving guest trapped or overran a limit; it was stopped and restarted clean."
    untouched = "The guest's state is unchanged."
    next_step = "Report to the guest's author; the receiving host's log names the limit."
    wire = (CODESPACE, 37)


class BadPayload(Refused):
    code = "payload.not_ours"
    summary = "A payload to an endpoint must have version lockgate-1 and encoding application/cose (I7)."
    untouched = _MESSAGE
    next_step = "Seal messages with the library."
    wire = (CODESPACE, 38)


class LaneProof(PeerFault):
    code = "lane.proof"
    summary = "The remote ledger's proven state does not describe this lane (P9)."
    untouched = _MESSAGE
    next_step = "Check both client ids and domain ids; the remote client must follow this very ledger."
    wire = (CODESPACE, 40)


class LaneExists(Refused):
    code = "lane.exists"
    summary = "A lane over this client is open already."
    untouched = _MESSAGE
    next_step = "Use the open lane."
    wire = (CODESPACE, 41)


class NoLane(Refused):
    code = "lane.not_open"
    summary = "Endpoints use open lanes only, and none is open over this client (P9)."
    untouched = _MESSAGE
    next_step = "Open a lane, or wait until a stopped one is resumed."
    wire = (CODESPACE, 42)


class LaneStopped(Refused):
    code = "lane.stopped"
    summary = "The lane is stopped or closed by the ledger's authority."
    untouched = _MESSAGE
    next_step = "See the reason in the lane record; resuming is announced on the ledger (P16)."
    wire = (CODESPACE, 43)


class LaneNotAdmitted(Refused):
    code = "lane.not_admitted"
    summary = "Lanes to this domain are opened by the ledger's authority only."
    untouched = _MESSAGE
    next_step = "Ask the authority to announce the lane."
    wire = (CODESPACE, 44)


class DuplicateMessage(Refused):
    code = "send.duplicate_message"
    summary = "The message id (sender, fence, counter) is open already (P17)."
    untouched = _MESSAGE
    next_step = "Use the next counter."
    wire = (CODESPACE, 45)


class SendOutsideAnswer(Refused):
    code = "send.outside_answer"
    summary = "An endpoint's messages leave only inside an Answer or Advance of its newest host (P1)."
    untouched = _MESSAGE
    next_step = "Send through the endpoint's host."
    wire = (CODESPACE, 46)


class LaneSuspended(Refused):
    code = "lane.suspended"
    summary = "The other ledger's client is expired or frozen, or its ledger signed two histories (P14)."
    untouched = "The packet stays as it is; nothing was verified through the client."
    next_step = "Expired: the authority announces client.recover. Two histories: it announces packet.settle."
    wire = (CODESPACE, 48)


class LaneFull(Refused):
    code = "lane.cap"
    summary = "As many packets or bytes are open over the lane as its caps allow (P10)."
    untouched = _MESSAGE
    next_step = "Send again when earlier packets have ended."
    wire = (CODESPACE, 49)


class LaneForeign(Refused):
    code = "lane.foreign"
    summary = "A payload to or from an endpoint was to cross a lane to a ledger that is none of ours."
    untouched = _MESSAGE
    next_step = "Send to an application's port there; sealed messages travel between ledgers of ours only (P9)."
    wire = (CODESPACE, 70)


class NotOptedIn(Refused):
    code = "lane.operated"
    summary = "One operator signs the other ledger, and the opener did not say that this is accepted (P10)."
    untouched = _MESSAGE
    next_step = "Set `operated` to true in lane.open, and choose the lane's caps with that in mind."
    wire = (CODESPACE, 54)


class HeaderForgotten(Refused):
    code = "lane.header_forgotten"
    summary = "The remote client's consensus state is of a header of ours that is older than this ledger remembers."
    untouched = _MESSAGE
    next_step = "Update the remote client to a newer header of this ledger, then open the lane."
    wire = (CODESPACE, 57)


class AccountExists(Refused):
    code = "gov.account_exists"
    summary = "The account is on this ledger already; admitting it again would overwrite its balance."
    untouched = "The account and its balance are as they were."
    next_step = "Nothing to do: an account that exists needs no admission."
    wire = (CODESPACE, 58)


class UnknownAction(Refused):
    code = "gov.unknown_action"
    summary = "No such governance action, or its arguments do not fit."
    untouched = _MESSAGE
    next_step = "See machine/cddl/governance.1.0.cddl for the actions."
    wire = (CODESPACE, 51)


class ActionTooLarge(Refused):
    code = "gov.action_too_large"
    summary = "The action does not fit into a record of the ledger's state."
    untouched = _MESSAGE
    next_step = "Announce it with less in its arguments: 1 MiB with all that is beside them."
    wire = (CODESPACE, 114)


class NothingScheduled(Refused):
    code = "gov.not_scheduled"
    summary = "No announced action has this height and number."
    untouched = _MESSAGE
    next_step = "Read the `gov_announced` event for the height and number."
    wire = (CODESPACE, 52)


class NotSettleable(Refused):
    code = "gov.not_settleable"
    summary = "The packet is not open over a lane that an equivocation closed, or the lane's caps are used up."
    untouched = _MESSAGE
    next_step = "Settle only what is still committed on a lane whose cause is `equivocation` (P14)."
    wire = (CODESPACE, 55)


class NotEquivocation(PeerFault):
    code = "gov.no_equivocation"
    summary = "The two headers do not prove that the lane's other ledger signed two histories."
    untouched = _MESSAGE
    next_step = "Cite the Misbehaviour message whose headers the client's own validators signed."
    wire = (CODESPACE, 56)


class NotPrunable(Refused):
    code = "prune.still_open"
    summary = "The sender's commitment is not proven gone, so the receipt must stay (I15)."
    untouched = _MESSAGE
    next_step = "Prune after the acknowledgement has reached the sender."
    wire = (CODESPACE, 53)


class InternalFault(LockgateError):
    """A defect of the machine itself, caught so that one transaction cannot stop a ledger."""

    code = "machine.fault"
    summary = "The machine failed on this transaction; the defect is ours."
    untouched = _MESSAGE
    next_step = "Report it with the transaction's hash."
    wire = (CODESPACE, 1)
