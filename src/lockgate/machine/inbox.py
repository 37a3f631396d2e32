"""Inboxes by grant (P15): who may deliver to an endpoint, how much may wait, and how entries leave.

An entry holds the packet's commitment and its answer deadline; the body stays in the block. Entries
leave by an Answer or by the deadline sweep, never by eviction. Counters bound them per grant, per
lane and in total, so a full inbox is a `busy` refusal of one packet, never a failed transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lockgate.machine import deviations, keys
from lockgate.machine.context import Context
from lockgate.machine.errors import Busy, NoGrant
from lockgate.machine.records import Entry, Grant, Lane
from lockgate.primitives.ids import EndpointId
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

TOTAL_SCOPE: Final = b"total"
DEADLINE_SPAN: Final = len(keys.DEADLINE_PREFIX) + 8  # where the client id begins in an index key


def admit(view: View, context: Context, lane: Lane, entry: Entry, sequence: int) -> Outcome:
    """Put a packet into the inbox of the endpoint it is addressed to.

    Raises NoGrant or Busy, which the caller turns into the error acknowledgement (P3).
    """
    grant_key = keys.grant(entry.endpoint, lane.lane_id, entry.sender)
    grant_bytes = view.get(keys.ENDPOINT, grant_key)
    if grant_bytes is None:
        raise NoGrant("no grant for this sender", endpoint=entry.endpoint, sender=entry.sender)
    parameters = context.parameters
    most = min(Grant.from_bytes(grant_bytes).most_open, parameters.inbox_per_grant)
    # A grant's first slots are its own: others who fill the lane cannot shut it out.
    reserved = count(view, grant_key) < parameters.inbox_reserved
    per_lane = min(parameters.inbox_per_lane, lane.caps.packets)
    outcome = Outcome()
    for scope, bound in (
        (grant_key, most),
        (lane.lane_id, deviations.room(view, context, lane.local_client, per_lane)),
        (TOTAL_SCOPE, parameters.inbox_total),
    ):
        waiting = count(view, scope)
        if waiting >= bound and not (reserved and scope is not grant_key):
            raise Busy("the inbox is full", waiting=waiting, bound=bound)
        outcome.set(keys.INBOX, keys.inbox_count(scope), keys.u64(waiting + 1))
    outcome.set(keys.INBOX, keys.entry(lane.local_client, sequence), entry.to_bytes())
    outcome.set(keys.INBOX, keys.deadline(entry.deadline, lane.local_client, sequence), b"\x01")
    return outcome


def release(view: View, client: str, sequence: int, entry: Entry) -> Outcome:
    """Take an entry out, whatever ended it, and give its slots back."""
    outcome = Outcome()
    outcome.delete(keys.INBOX, keys.entry(client, sequence))
    outcome.delete(keys.INBOX, keys.deadline(entry.deadline, client, sequence))
    grant_key = keys.grant(entry.endpoint, entry.lane_id, entry.sender)
    for scope in (grant_key, entry.lane_id, TOTAL_SCOPE):
        waiting = count(view, scope)
        key = keys.inbox_count(scope)
        if waiting > 1:
            outcome.set(keys.INBOX, key, keys.u64(waiting - 1))
        else:
            outcome.delete(keys.INBOX, key)
    return outcome


def count(view: View, scope: bytes) -> int:
    """Number of open entries in a grant, a lane, or in total."""
    return int.from_bytes(view.get(keys.INBOX, keys.inbox_count(scope)) or b"", "big")


def find(view: View, client: str, sequence: int) -> Entry | None:
    data = view.get(keys.INBOX, keys.entry(client, sequence))
    return None if data is None else Entry.from_bytes(data)


def expired(view: View, now: UnixNanos, most: int) -> list[tuple[str, int, Entry]]:
    """Up to `most` entries whose deadline is at or before `now`, earliest first (I6)."""
    found: list[tuple[str, int, Entry]] = []
    for key, _ in view.scan(keys.INBOX, keys.DEADLINE_PREFIX, keys.deadline_bound(now)):
        client = key[DEADLINE_SPAN:-9].decode()
        sequence = int.from_bytes(key[-8:], "big")
        entry = find(view, client, sequence)
        if entry is not None:
            found.append((client, sequence, entry))
        if len(found) >= most:
            break
    return found


def open_entries(view: View, endpoint: EndpointId) -> list[tuple[str, int, Entry]]:
    """Every open entry of one endpoint, in key order. A scan of the store: for queries only."""
    return [found for found in every(view) if found[2].endpoint == endpoint]


def every(view: View) -> Iterator[tuple[str, int, Entry]]:
    """Every open entry of the ledger, in key order: (client, sequence, entry)."""
    end = keys.ENTRY_PREFIX[:-1] + b"0"
    for key, data in view.scan(keys.INBOX, keys.ENTRY_PREFIX, end):
        yield key[len(keys.ENTRY_PREFIX) : -9].decode(), int.from_bytes(key[-8:], "big"), Entry.from_bytes(data)
