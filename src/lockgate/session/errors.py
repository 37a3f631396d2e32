"""Failures of sessions after their handshake."""

from __future__ import annotations

from typing import Final

from lockgate.primitives.errors import Damaged, PeerFault, Refused


class KeyGone(Refused):
    code = "session.key_gone"
    summary = "The message key was erased: the message ended before, or its sender's start or epoch is over (P18)."
    untouched = "Nothing was opened, and no key was derived."
    next_step = "Nothing, if it is a repeat; otherwise the sender seals the body again under the newest keys."


class TooFarAhead(PeerFault):
    code = "session.too_far_ahead"
    summary = "A message names a counter or a start further ahead than messages under way can explain."
    untouched = "Nothing was opened, and no key was derived."
    next_step = "Nothing: where many messages never arrived, the sender handshakes again and seals the body anew."


class OtherStart(PeerFault):
    code = "session.other_start"
    summary = "A start of the sender is named with another salt than the one its first message had."
    untouched = "Nothing was opened; the keys of the first one stay."
    next_step = "The sender handshakes again. A process of its was copied: compare the fence on its ledger."


class SessionUnknown(Refused):
    code = "session.unknown"
    summary = "A message names a session, or an epoch of one, that this host does not hold."
    untouched = "Nothing was opened."
    next_step = "It was restored or dropped: the sender handshakes again and seals the body anew."


class EpochSpent(Refused):
    code = "session.epoch_spent"
    summary = "An epoch has sealed as many messages, or seen as many starts, as it may."
    untouched = "Nothing was sealed."
    next_step = "Agree on the next epoch; it follows by itself while both hosts run."


class SessionDamaged(Damaged):
    code = "session.damaged"
    summary = "The stored state of a session is not what was written."
    next_step = "Handshake again: a session is never repaired, because a state that is older than another repeats keys."


UNUSABLE: Final = (SessionUnknown, KeyGone, TooFarAhead, OtherStart)  # nothing more opens there: another session does

__all__ = ("UNUSABLE", "EpochSpent", "KeyGone", "OtherStart", "SessionDamaged", "SessionUnknown", "TooFarAhead")
