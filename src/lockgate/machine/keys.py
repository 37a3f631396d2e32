"""Where the machine keeps what: the stores of I4 and the keys inside them.

Every key begins with a word that names its kind, so that a scan of one kind is a key range. Numbers
inside keys are fixed-width big-endian, so that key order is number order.
"""

from __future__ import annotations

import hashlib
from typing import Final

from lockgate.primitives.time import UnixNanos

IBC: Final = "ibc"
ACCOUNT: Final = "acc"
ENDPOINT: Final = "endpoint"
INBOX: Final = "inbox"
REASON: Final = "reason"
LANE: Final = "lane"
GOVERNANCE: Final = "gov"
RULES: Final = "rules"
LOG: Final = "log"

STORES: Final = (
    "acc",
    "app",
    "asset",
    "endpoint",
    "fee",
    "gov",
    "guard",
    "ibc",
    "inbox",
    "lane",
    "log",
    "policy",
    "reason",
    "rules",
    "upgrade",
)
BODIES: Final = "body"  # packets that wait, beside the tree: the inbox holds their hashes and deadlines (I4)
SCHEMA_KEY: Final = b"schema"  # seeded everywhere: an empty store cannot prove absence (I4)
SCHEMA_VERSION: Final = b"\x01"

RULES_DIGEST: Final = b"digest"
RULES_PARAMETERS: Final = b"parameters"
RULES_DOMAIN: Final = b"domain"
RULES_SUITES: Final = b"suites"  # nothing there: the default table
RULES_STOPS: Final = b"stops"  # suites that the authority ended at once

DEADLINE_PREFIX: Final = b"deadline/"
ENTRY_PREFIX: Final = b"entry/"
SCHEDULE_PREFIX: Final = b"schedule/"
OFFENCE_PREFIX: Final = b"offence/"
VALIDATORS_PREFIX: Final = b"validators/"


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def account(account_id: str) -> bytes:
    return b"account/" + account_id.encode()


def account_keys(account_id: str) -> bytes:
    """Where it stands which keys an account has instead of its first one."""
    return b"keys/" + account_id.encode()


def account_key(own_id: str) -> bytes:
    """Where it stands which account has taken a key up, by the id of the account that the key would be the first of."""
    return b"key/" + own_id.encode()


def sequence(account_id: str, nonce_lane: int) -> bytes:
    return b"sequence/" + account_id.encode() + b"/" + nonce_lane.to_bytes(2, "big")


def key_record(endpoint: bytes, index: int) -> bytes:
    return b"record/" + endpoint + u64(index)


def endpoint_state(endpoint: bytes) -> bytes:
    return b"state/" + endpoint


def open_message(endpoint: bytes, fence: int, counter: int) -> bytes:
    return b"message/" + endpoint + u64(fence) + u64(counter)


def message_of_packet(client: str, sequence_number: int) -> bytes:
    return b"packet/" + client.encode() + b"/" + u64(sequence_number)


def grant(endpoint: bytes, lane_id: bytes, remote: bytes) -> bytes:
    return b"grant/" + endpoint + lane_id + remote


def revoked_tokens(endpoint: bytes) -> bytes:
    """Tokens of an endpoint that count no more."""
    return b"tokens/" + endpoint


def grant_count(endpoint: bytes) -> bytes:
    """How many grants an endpoint has written and not withdrawn."""
    return b"grants/" + endpoint


def entry(client: str, sequence_number: int) -> bytes:
    return ENTRY_PREFIX + client.encode() + b"/" + u64(sequence_number)


def deadline(at: UnixNanos, client: str, sequence_number: int) -> bytes:
    return DEADLINE_PREFIX + u64(at) + client.encode() + b"/" + u64(sequence_number)


def deadline_bound(at: UnixNanos) -> bytes:
    """First key of the deadline index that is later than `at`."""
    return DEADLINE_PREFIX + u64(at + 1)


def inbox_count(scope: bytes) -> bytes:
    return b"count/" + scope


def reason(client: str, sequence_number: int) -> bytes:
    return client.encode() + b"/" + u64(sequence_number)


def lane(lane_id: bytes) -> bytes:
    return b"lane/" + lane_id


def lane_of_client(client: str) -> bytes:
    return b"client/" + client.encode()


def lane_suites(lane_id: bytes) -> bytes:
    """What a lane asks of the suites under it, where it asks for anything."""
    return b"suites/" + lane_id


def lane_sends(client: str) -> bytes:
    """What is open over a lane on this side: packets and bytes."""
    return b"open/" + client.encode()


def order_stream(client: str, sender: bytes) -> bytes:
    """How far a sender's packets over an ordered lane are numbered, on the sending side."""
    return b"order_stream/" + client.encode() + b"/" + sender


def order_claim(client: str, sequence_number: int) -> bytes:
    """The place of an open packet among its sender's, on the sending side."""
    return b"order_claim/" + client.encode() + b"/" + u64(sequence_number)


def order_next(client: str, sender: bytes) -> bytes:
    """The next number of a remote sender, on the receiving side."""
    return b"order_next/" + client.encode() + b"/" + sender


def deviations(client: str) -> bytes:
    """What a lane's other ledger did that none of ours does."""
    return b"deviations/" + client.encode()


def equivocation(client: str) -> bytes:
    return b"equivocation/" + client.encode()


def settlement(client: str, sequence_number: int) -> bytes:
    return b"settled/" + client.encode() + b"/" + u64(sequence_number)


def settled(client: str) -> bytes:
    """How much was settled over a lane: packets and bytes."""
    return b"settled_sum/" + client.encode()


def scheduled(height: int, number: int) -> bytes:
    return SCHEDULE_PREFIX + u64(height) + u64(number)


def authority(key_hash: bytes) -> bytes:
    """Where the next number of an authority's authorizations stands."""
    return b"authority/" + key_hash


def rotating(key_hash: bytes) -> bytes:
    """The height at which an authority is followed by the key that it committed to, once that is announced."""
    return b"rotating/" + key_hash


def authority_part(part: bytes) -> bytes:
    """Where it stands that an authority that was followed had this public key among its own."""
    return b"part/" + hashlib.sha256(part).digest()


def signer(address: bytes) -> bytes:
    """Where it stands that a validator came after the genesis."""
    return b"signer/" + address


def validators(signs_from: int) -> bytes:
    """A validator set, under the height it signs from."""
    return VALIDATORS_PREFIX + u64(signs_from)


def offence(address: bytes) -> bytes:
    """Where it stands that a validator was caught."""
    return OFFENCE_PREFIX + address


AUTHORITIES: Final = b"authorities"  # those that stand, once one of the genesis has rotated
ACTION_NUMBER: Final = b"next_action"
TRAIL: Final = b"headers"  # in the log store: the newest link of the chain over own headers
NEWEST_VALIDATORS: Final = b"validators"  # the height that the newest set signs from
