"""Sealed frames, chunks and envelopes beside the bare cipher, in one run.

    python -m bench.envelope [--rounds N] [--json FILE]          results go to bench/results/envelope.json by default

Every round times short batches of each operation in turn and keeps the quickest of each, so that a ratio
compares the same moment and a busy neighbour disturbs both sides alike; the table shows the median of the
rounds and their range. What must hold: a 64 KiB frame within
1.25 of bare AES-256-GCM and 1.10 of bare ChaCha20-Poly1305, sealing and opening; through a Unix socket
at least 0.70 of the bare cipher's rate through the same socket. Chunks add the SHA-256 of their tree.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from tests.unit.envelope.world import World

from bench.report import RESULTS, full_or, machine
from lockgate.crypto.suites import SEAL_X25519, SEAL_XWING_AES, SIGN_ED25519, SIGN_ED25519_MLDSA65
from lockgate.envelope.chunks import CHUNK_BYTES, ChunkOpener, ChunkSealer, Descriptor
from lockgate.envelope.cose.algorithms import content_algorithm
from lockgate.envelope.cose.encrypt import Encrypt0, encrypt0
from lockgate.envelope.cose.frame import Framer, NonceLabel
from lockgate.envelope.cose.headers import Acceptance
from lockgate.envelope.cose.keys import CoseKey
from lockgate.envelope.cose.wire import Wire

AAD = b"associated data of forty bytes, as a hash"
CIPHERS: dict[int, type[AESGCM] | type[ChaCha20Poly1305]] = {3: AESGCM, 24: ChaCha20Poly1305}
LIMITS = {(3, 65_536): 1.25, (24, 65_536): 1.10}
BATCHES = 10
STREAM_CHUNKS = 64
SOCKET_RUNS = 5
SOCKET_FRAMES = 400
SOCKET_FLOOR = 0.70
Operation = Callable[[], object]


def operations(alg: int, size: int) -> dict[str, Operation]:
    """Named operations on a content of `size` bytes; "bare seal" and "bare open" are the references."""
    key, nonce, content = os.urandom(32), os.urandom(12), os.urandom(size)
    cose_key = CoseKey.symmetric(key, alg)
    accept = Acceptance(algorithms=frozenset({alg}), understood=frozenset(), bare_alg=False)
    framer = Framer(alg, key, label=NonceLabel.IV, part_bytes=12, external_aad=AAD)
    bare = CIPHERS[alg](key)
    ciphertext, frame = bare.encrypt(nonce, content, AAD), bytes(framer.seal(nonce, nonce, content))

    def generic_seal() -> bytes:
        message, _ = encrypt0(content, cose_key, nonce, protected={}, unprotected={}, external_aad=AAD)
        return message.encode()

    assert generic_seal() == frame
    named: dict[str, Operation] = {
        "bare seal": lambda: bare.encrypt(nonce, content, AAD),
        "frame seal": lambda: framer.seal(nonce, nonce, content),
        "generic seal": generic_seal,
        "bare open": lambda: bare.decrypt(nonce, ciphertext, AAD),
        "frame open": lambda: framer.open(nonce, nonce, frame),
        "generic open": lambda: Encrypt0.decode(frame, Wire.OURS).decrypt(cose_key, accept, external_aad=AAD),
    }
    if size == CHUNK_BYTES:
        named |= chunk_operations(alg, key, content)
    return named


def chunk_operations(alg: int, key: bytes, content: bytes) -> dict[str, Operation]:
    """One chunk of a long stream: frame, leaf hash and tree."""
    writer, sealer = ChunkSealer(key, alg), ChunkSealer(key, alg)
    frames = [bytes(writer.seal(content, last=False).frame) for _ in range(STREAM_CHUNKS)]
    long = Descriptor(alg=alg, content_key=key, length=2 * STREAM_CHUNKS * CHUNK_BYTES, root=bytes(32), locator="x")

    def contents() -> Iterator[bytes]:
        while True:
            opener = ChunkOpener(long)
            yield from map(opener.open, frames)

    opened = contents()
    return {"chunk seal": lambda: sealer.seal(content, last=False), "chunk open": lambda: next(opened)}


def microseconds(operation: Operation, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - start) / count * 1e6


def measure(named: dict[str, Operation], rounds: int, count: int) -> dict[str, list[float]]:
    """Microseconds of each operation in each round: the quickest of `BATCHES` interleaved batches."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(rounds):
        best = dict.fromkeys(named, float("inf"))
        for _ in range(BATCHES):
            for name, operation in named.items():
                best[name] = min(best[name], microseconds(operation, count))
        for name, value in best.items():
            times[name].append(value)
    return times


def frames_table(rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for alg in CIPHERS:
        for size in (1_024, 65_536):
            times = measure(operations(alg, size), rounds, 30)
            for name, values in times.items():
                reference = times["bare seal" if name.endswith("seal") else "bare open"]
                ratios = [value / bare for value, bare in zip(values, reference, strict=True)]
                limit = LIMITS.get((alg, size)) if name.startswith("frame") else None
                rows.append(
                    {
                        "cipher": content_algorithm(alg).name,
                        "bytes": size,
                        "operation": name,
                        "us": round(statistics.median(values), 2),
                        "ratio": round(statistics.median(ratios), 3),
                        "range": [round(min(ratios), 3), round(max(ratios), 3)],
                        "limit": limit,
                    }
                )
    return rows


def through_socket(seal: Callable[[], bytes | bytearray], open_: Callable[[bytearray], object], size: int) -> float:
    """Frames a second: sealed, sent through a Unix socket, received whole and opened."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def send() -> None:
        for _ in range(SOCKET_FRAMES):
            left.sendall(seal())
        left.close()

    sender = threading.Thread(target=send)
    start = time.perf_counter()
    sender.start()
    buffer = bytearray(size)
    view = memoryview(buffer)
    for _ in range(SOCKET_FRAMES):
        filled = 0
        while filled < size:
            filled += right.recv_into(view[filled:])
        open_(buffer)
    sender.join()
    right.close()
    return SOCKET_FRAMES / (time.perf_counter() - start)


def socket_rates(alg: int) -> tuple[float, float]:
    """Frames a second of the bare cipher and of ours: the quickest of runs that take turns."""
    key, nonce, content = os.urandom(32), os.urandom(12), os.urandom(65_536)
    bare = CIPHERS[alg](key)
    framer = Framer(alg, key, label=NonceLabel.IV, part_bytes=12, external_aad=AAD)
    plain = framed = 0.0
    for _ in range(SOCKET_RUNS):
        rate = through_socket(
            lambda: bare.encrypt(nonce, content, AAD), lambda data: bare.decrypt(nonce, data, AAD), len(content) + 16
        )
        plain = max(plain, rate)
        rate = through_socket(
            lambda: framer.seal(nonce, nonce, content),
            lambda data: framer.open(nonce, nonce, data),
            framer.frame_bytes(len(content)),
        )
        framed = max(framed, rate)
    return plain, framed


def socket_table(rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for alg in CIPHERS:
        rates = [socket_rates(alg) for _ in range(rounds)]
        ratios = [framed / plain for plain, framed in rates]
        rows.append(
            {
                "cipher": content_algorithm(alg).name,
                "bytes": 65_536,
                "operation": "seal, socket, open",
                "us": round(1e6 / statistics.median(framed for _, framed in rates), 2),
                "ratio": round(statistics.median(ratios), 3),
                "range": [round(min(ratios), 3), round(max(ratios), 3)],
                "limit": SOCKET_FLOOR,
            }
        )
    return rows


def envelope_table(rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for suites in ((SEAL_X25519.id, SIGN_ED25519.id), (SEAL_XWING_AES.id, SIGN_ED25519_MLDSA65.id)):
        world = World(suites)
        world.seal()
        times = measure({"envelope seal": world.seal, "envelope open": world.open}, rounds, 1)
        for name, values in times.items():
            rows.append(
                {
                    "cipher": f"suites {suites[0]}, {suites[1]}",
                    "bytes": len(world.sealed),
                    "operation": name,
                    "us": round(statistics.median(values), 1),
                    "ratio": None,
                    "range": [round(min(values), 1), round(max(values), 1)],
                    "limit": None,
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'cipher':20} {'bytes':>7} {'operation':20} {'us':>9} {'ratio':>7}  range            limit")
    for row in rows:
        ratio = "" if row["ratio"] is None else row["ratio"]
        limit = "" if row["limit"] is None else row["limit"]
        low, high = row["range"]
        print(
            f"{row['cipher']!s:20} {row['bytes']!s:>7} {row['operation']!s:20} {row['us']!s:>9} {ratio!s:>7}"
            f"  {low}..{high}".ljust(86)
            + f" {limit}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=RESULTS / "envelope.json")
    arguments = parser.parse_args()
    rounds = max(5, full_or(arguments.rounds, 5))
    rows = frames_table(rounds) + socket_table(min(rounds, 9)) + envelope_table(min(rounds, 9))
    show(rows)
    result = {"machine": machine(), "rounds": rounds, "rows": rows}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
