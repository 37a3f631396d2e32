"""What the actors of a run did and meant, written down beside the system and never read by it.

Checkers compare it with what the ledgers and hosts show. Entries are made when guest code runs, also
where the ledger later drops the step: it says what was *asked for*, not what stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Journal:
    """One run's journal. Names are those of the two hosts' endpoints."""

    marker: bytes  # stands in every body, and nowhere else in the world
    said: set[tuple[str, bytes]] = field(default_factory=set)  # (author, body) that a guest meant to send
    bodies: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)  # message reference → author, body
    handled: list[tuple[str, str, bytes]] = field(default_factory=list)  # receiver, claimed sender, body
    replied: set[tuple[str, bytes, bytes]] = field(default_factory=set)  # author of the reply, body, reply
    answers: list[tuple[str, bytes, bytes]] = field(default_factory=list)  # receiver of the reply, reference, reply
    accepted_forgeries: list[str] = field(default_factory=list)  # what an adversary got past a ledger
    seen_plaintext: list[str] = field(default_factory=list)  # where the marker was found outside


__all__ = ("Journal",)
