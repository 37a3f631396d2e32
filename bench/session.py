"""Messages in a session beside the same body sealed to long-term keys, in one run.

    python -m bench.session [--rounds N] [--json FILE]          results go to bench/results/session.json by default

A message in a session is all that two hosts do for it in memory: the sender takes the next keys of its book and seals,
the receiver derives the keys and opens, and both erase when it is settled. The reference is the hybrid envelope outside
sessions, signed with Ed25519 and ML-DSA-65 and sealed with X-Wing; the bare cipher stands beside both. Every round
times short batches of each in turn and keeps the quickest of each; the table shows the median of the rounds and their
range. The last column is what the book of such sessions weighs when it is written, once a batch and not once a message.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from tests.unit.envelope.world import World, content
from tests.unit.session.test_book import ALICE, LATER, Pair

from bench.envelope import Operation, measure
from bench.report import RESULTS, full_or, machine
from lockgate.envelope.binding import Binding, SenderChoice
from lockgate.envelope.in_session import open_in_session, seal_in_session

SIZES: Final = (256, 4_096, 65_536)
BATCH: Final = 20
UNDER_WAY: Final = 32  # messages between their sealing and their end, as in a host's batch
MOST: Final = 1 << 19  # messages of one pair of books: far below what a start may send


class Talk:
    """Two books with one session, and messages under way in it."""

    def __init__(self, body: bytes) -> None:
        self.world = World()
        self.content = content(body)
        self.pair = Pair()
        self.count = 0

    def message(self) -> None:
        """One message from its sealing to its opening, and the end of an earlier one."""
        place, keys = self.pair.sealed()
        choice = SenderChoice(
            session=place.session,
            epoch=place.epoch,
            start_salt=place.salt,
            fence=place.fence,
            counter=self.count,
            place=place.place,
        )
        sealed = seal_in_session(Binding(self.world.context, choice), self.content, keys.message)
        commitment = self.count.to_bytes(32)
        self.pair.alice.await_reply(commitment, place, keys.reply)
        theirs, after = self.pair.bob.find(ALICE, place.session).open(place)
        open_in_session(self.world.context, sealed, theirs.message, self.world.author)
        self.pair.bob.opened(ALICE, after, commitment, place, LATER)
        if self.count >= UNDER_WAY:
            ended = (self.count - UNDER_WAY).to_bytes(32)
            self.pair.alice.settled(ended)
            self.pair.bob.settled(ended)
        self.count += 1
        assert self.count < MOST, "a pair of books serves one measurement"


def operations(size: int) -> tuple[dict[str, Operation], Talk]:
    body = os.urandom(size)
    talk, world = Talk(body), World()
    world.content = content(body)
    cipher, nonce = ChaCha20Poly1305(os.urandom(32)), os.urandom(12)

    def outside() -> None:
        world.choice = replace(world.choice, counter=world.choice.counter + 1)
        world.seal()
        world.open()

    return {
        "bare cipher": lambda: cipher.decrypt(nonce, cipher.encrypt(nonce, body, None), None),
        "in a session": talk.message,
        "to long-term keys": outside,
    }, talk


def table(rounds: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        named, talk = operations(size)
        times = measure(named, rounds, BATCH)
        for name, values in times.items():
            ratios = [mine / theirs for mine, theirs in zip(values, times["to long-term keys"], strict=True)]
            rows.append(
                {
                    "bytes": size,
                    "operation": name,
                    "us": round(statistics.median(values), 1),
                    "range_us": [round(min(values), 1), round(max(values), 1)],
                    "messages_per_s": round(1e6 / statistics.median(values)),
                    "of_long_term": round(statistics.median(ratios), 3),
                    "book_bytes": len(talk.pair.bob.to_bytes()) if name == "in a session" else None,
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'bytes':>7} {'sealed, opened':20} {'us':>9} {'range':>20} {'a second':>9} {'of long-term':>13} {'book':>8}"
    )
    for row in rows:
        low, high = row["range_us"]
        book = "" if row["book_bytes"] is None else f"{row['book_bytes']} B"
        print(
            f"{row['bytes']:>7} {row['operation']:20} {row['us']:>9} {f'{low}..{high}':>20} {row['messages_per_s']:>9}"
            f" {row['of_long_term']:>13} {book:>8}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, default=RESULTS / "session.json")
    arguments = parser.parse_args()
    rounds = max(5, full_or(arguments.rounds, 5))
    rows = table(rounds)
    show(rows)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": machine(), "rounds": rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
