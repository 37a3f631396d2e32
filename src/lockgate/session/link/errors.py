"""Failures of a link. Each ends it: nothing goes on that was interrupted, altered or late."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, PeerFault, Refused, Unavailable


class LinkBroken(PeerFault):
    code = "link.broken"
    summary = "A record does not authenticate at its place: altered, repeated, out of order, or one before is missing."
    untouched = "Nothing of the record was given to the application; the link ended."
    next_step = "Open a new link. If it happens again, somebody between the two alters what passes."


class LinkTruncated(PeerFault):
    code = "link.truncated"
    summary = "The stream ended without the record that closes a link, so what was received may not be all."
    untouched = "Nothing was added to what had been received; the link ended."
    next_step = "Take what came for incomplete and ask again over a new link."


class FrameRefused(PeerFault):
    code = "link.frame_refused"
    summary = "A frame is of a kind or a length that has no place where it came."
    untouched = "No memory was taken for it and nothing of it was read; the link ended."
    next_step = "Compare what both sides speak at this address; one may speak without links, or another version."


class LinkStale(Refused):
    code = "link.stale"
    summary = "The keys of a link have served longer than they may, and no fresh handshake came (P18)."
    untouched = "Nothing was sealed or opened under them; the link ended."
    next_step = "Open a new link. The side that opened one heals it by itself while both receive."


class LinkBusy(Unavailable):
    code = "link.busy"
    summary = "The other side has as many links as it takes, or cannot ask its ledgers yet."
    untouched = "No link was opened."
    next_step = "Try again after a pause."


class LinkSlow(Unavailable):
    code = "link.slow"
    summary = "The other side did not go on in time: with its handshake, with a frame that it began, or with reading."
    untouched = "The link ended; what was received before stands."
    next_step = "Try again over a new link."


class OtherPeer(PeerFault):
    code = "link.other_peer"
    summary = "A fresh handshake on a link names another endpoint than the link was opened with."
    untouched = "The link ended."
    next_step = "Open a link to each endpoint."


class LinkOver(Misuse):
    code = "link.over"
    summary = "A link was used where it cannot be: before its handshake is done and judged, or after its end."
    next_step = "Ask what it waits for, judge what it presents, and drop it when it has ended."


__all__ = (
    "FrameRefused",
    "LinkBroken",
    "LinkBusy",
    "LinkOver",
    "LinkSlow",
    "LinkStale",
    "LinkTruncated",
    "OtherPeer",
)
