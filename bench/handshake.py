"""A hybrid handshake beside the sum of its primitives, its bytes beside others' handshakes, and records of a link.

    python -m bench handshake                                    results go to bench/results/handshake.json

The operations take turns, so that a ratio compares the same moments; tables show the median of the rounds and their
range. Times are the process's own, which are wall time where nothing else runs: nothing here waits. Primitives are the
library calls that both sides of the exchange cannot do without: X-Wing's key, encapsulation and decapsulation, two
Ed25519 and two ML-DSA-65 signatures made and verified, and message_2's keystream on both sides. What is wanted: a
handshake within 1.5 times their sum; a 64 KiB record of a link, sealed and opened, within 1.25 times the bare cipher.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.support.edhoc import Pair as ClassicPair
from tests.support.links import Friends, Pair, claims, endpoint_of, frames, sides

from bench.peers.go_program import GoProgram, PeerAbsent
from bench.report import full_or, keep, machine, shown, spread
from lockgate.crypto.hashes import SHA384
from lockgate.crypto.kdf import hkdf_expand
from lockgate.crypto.ports import Signer
from lockgate.crypto.xwing import XWING
from lockgate.keystore.software import OsEntropy
from lockgate.session.edhoc import SUITES, Method
from lockgate.session.link import Link
from lockgate.transport import LinkStream

ROUNDS: Final = full_or(9, 2)
WANTED: Final = 1.5
RECORD_WANTED: Final = 1.25
SIZES: Final = (256, 65_536)
STREAM_BYTES: Final = full_or(64 << 20, 4 << 20)
Operation = Callable[[], object]


# The handshake's parts.


class Recorder:
    """A signer that remembers how much it was given to sign."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.algorithm, self.public_key, self.size = signer.algorithm, signer.public_key, 0

    def sign(self, message: bytes, /) -> bytes:
        self.size = len(message)
        return self._signer.sign(message)


def signed_bytes() -> int:
    """What one algorithm signs in a handshake."""
    caller = sides("alice", "bob")
    recorder = Recorder(caller.identity.signers[0])
    signers = (recorder, *caller.identity.signers[1:])
    Pair(replace(caller, identity=replace(caller.identity, signers=signers))).open()
    return recorder.size


def primitives() -> dict[str, Operation]:
    """Each call as often as one handshake needs it; public keys arrive as bytes, private ones are loaded."""
    message, keystream = os.urandom(signed_bytes()), ours()[1] - XWING.enc_bytes
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    mlkem_public, x25519_public = mlkem.public_key().public_bytes_raw(), x25519.public_key().public_bytes_raw()
    _, ciphertext = MLKEM768PublicKey.from_public_bytes(mlkem_public).encapsulate()
    ed, mldsa = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
    ed_public, mldsa_public = ed.public_key().public_bytes_raw(), mldsa.public_key().public_bytes_raw()
    ed_signature, mldsa_signature = ed.sign(message), mldsa.sign(message)

    def agree() -> None:
        fresh = X25519PrivateKey.generate()
        fresh.public_key().public_bytes_raw()
        fresh.exchange(X25519PublicKey.from_public_bytes(x25519_public))

    def verify_ed() -> None:
        Ed25519PublicKey.from_public_bytes(ed_public).verify(ed_signature, message)

    def verify_mldsa() -> None:
        MLDSA65PublicKey.from_public_bytes(mldsa_public).verify(mldsa_signature, message)

    def stream() -> None:
        hkdf_expand(SHA384, bytes(48), bytes(60), keystream)

    return {
        "ML-KEM-768 key": lambda: MLKEM768PrivateKey.generate().public_key().public_bytes_raw(),
        "ML-KEM-768 encapsulation": lambda: MLKEM768PublicKey.from_public_bytes(mlkem_public).encapsulate(),
        "ML-KEM-768 decapsulation": lambda: mlkem.decapsulate(ciphertext),
        "X25519, two keys, two exchanges": twice(agree),
        "Ed25519, two signatures": lambda: (ed.sign(message), ed.sign(message)),
        "Ed25519, two verifications": twice(verify_ed),
        "ML-DSA-65, two signatures": lambda: (mldsa.sign(message), mldsa.sign(message)),
        "ML-DSA-65, two verifications": twice(verify_mldsa),
        "HKDF-SHA-384, two keystreams": twice(stream),
    }


def twice(work: Callable[[], None]) -> Operation:
    """Both sides do it."""

    def both() -> None:
        work()
        work()

    return both


def meeting() -> Operation:
    """Both sides of a handshake over a link, in one thread, until both may send."""
    caller, table = sides("alice", "bob"), [sides("bob", "alice")]
    entropy = OsEntropy()

    def meet() -> None:
        pair = Pair.__new__(Pair)
        pair.at, pair.table, pair.evidence = 0, table, b""
        pair.alice, pair.bob = Link.call(caller, claims(3), entropy, 0), Link.answer(entropy, 0)
        pair.seen, pair.judged = {"alice": [], "bob": []}, []
        pair.open()

    return meet


def measured(named: dict[str, Operation], count: int, batch: int = 1) -> dict[str, list[float]]:
    """Microseconds of each operation in each round, after one uncounted round.

    The operations take turns call by call, or batch by batch where one call is short, and a round's figure is the mean
    of `count` turns: an ML-DSA signature takes now one attempt, now ten, so that the quickest would be a lucky one.
    """
    times: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(ROUNDS + 1):
        spent = dict.fromkeys(named, 0.0)
        for _ in range(count):
            for name, operation in named.items():
                begun = time.process_time()
                for _ in range(batch):
                    operation()
                spent[name] += time.process_time() - begun
        for name, value in spent.items():
            times[name].append(value / (count * batch) * 1e6)
    return {name: values[1:] for name, values in times.items()}


def handshake_rows() -> dict[str, Any]:
    parts = primitives()
    times = measured({"handshake": meeting(), **parts}, full_or(40, 3))
    sums = [sum(times[part][at] for part in parts) for at in range(ROUNDS)]
    ratios = [mine / theirs for mine, theirs in zip(times["handshake"], sums, strict=True)]
    return {
        "handshake_us": spread(times["handshake"]),
        "sum_us": spread(sums),
        "ratio": spread(ratios),
        "wanted": WANTED,
        "parts_us": {part: spread(times[part]) for part in parts},
    }


# Bytes.


def ours() -> list[int]:
    """Frames of a link's handshake, headers and claims of both sides included."""
    pair = Pair()
    sizes = []
    for number in range(4):
        source, to = (pair.alice, pair.bob) if number % 2 == 0 else (pair.bob, pair.alice)
        (frame,) = frames(b"".join(source.take()))
        sizes.append(len(frame))
        pair.feed(to, frame)
    return sizes


def edhoc(suite: int, method: Method) -> list[int]:
    """Messages of EDHOC without authorisation data, by our own code."""
    pair = ClassicPair(SUITES[suite], method)
    message_1, sent_1 = pair.first()
    message_2, sent_2 = pair.second(message_1)
    message_3, _ = sent_1.take(message_2, pair.initiator, pair.known).message_3()
    message_4 = sent_2.take(message_3, pair.known).message_4()
    return [len(message_1), len(message_2), len(message_3), len(message_4)]


def noise_xx() -> list[int]:
    """Noise_XX_25519_ChaChaPoly with empty payloads: `e`; `e, ee, s, es`; `s, se` (Noise rev. 34, §7.5)."""
    key, tag = 32, 16
    return [key, key + (key + tag) + tag, (key + tag) + tag]


def tls_rows() -> list[dict[str, Any]]:
    """TLS 1.3 of Go's library, certificates on both sides."""
    names = {"x25519mlkem768": "TLS 1.3, X25519MLKEM768, Ed25519", "x25519": "TLS 1.3, X25519, Ed25519"}
    try:
        with GoProgram("tlshandshake") as program:
            rows = []
            for group, name in names.items():
                program.ask(f"{group} {full_or(50, 5)}")
                found = json.loads(program.ask(f"{group} {full_or(300, 20)}"))
                rows.append({"name": name, "bytes": found["bytes"], "us": round(found["seconds"] * 1e6), "key": group})
            return rows
    except PeerAbsent as absent:
        print(absent, flush=True)
        return []


def byte_rows() -> list[dict[str, Any]]:
    hybrid = SUITES[-24]
    return [
        {"name": "a link: frames, with claims of both sides", "bytes": ours(), "kem": True, "signatures": True},
        {
            "name": f"EDHOC {hybrid.id}, method 0",
            "bytes": edhoc(-24, Method.SIGN_SIGN),
            "kem": True,
            "signatures": True,
        },
        *({**row, "kem": row["key"] != "x25519", "signatures": False} for row in tls_rows()),
        {"name": "EDHOC 0, method 0", "bytes": edhoc(0, Method.SIGN_SIGN), "kem": False, "signatures": False},
        {"name": "EDHOC 2, method 3", "bytes": edhoc(2, Method.DH_DH), "kem": False, "signatures": False},
        {"name": "Noise XX, 25519", "bytes": noise_xx(), "kem": False, "signatures": False},
    ]


# Records.


def record_rows() -> list[dict[str, Any]]:
    rows = []
    for size in SIZES:
        pair, content, aad = Pair().open(), os.urandom(size), bytes(4)
        bare, nonce = AESGCM(os.urandom(32)), os.urandom(12)

        def cipher(bare: AESGCM = bare, nonce: bytes = nonce, content: bytes = content, aad: bytes = aad) -> None:
            bare.decrypt(nonce, bare.encrypt(nonce, content, aad), aad)

        def record(pair: Pair = pair, content: bytes = content) -> None:
            pair.alice.send(content, 0)
            out = pair.alice.take()
            for at in range(0, len(out), 2):  # a key update now and then stands before the record
                pair.bob.receive(out[at], 0)
                pair.bob.receive(out[at + 1], 0)

        times = measured({"bare": cipher, "record": record}, full_or(100, 10), batch=10)
        ratios = [mine / theirs for mine, theirs in zip(times["record"], times["bare"], strict=True)]
        rows.append(
            {
                "bytes": size,
                "bare_us": spread(times["bare"]),
                "record_us": spread(times["record"]),
                "ratio": spread(ratios),
                "wanted": RECORD_WANTED if size == 65_536 else None,
                "per_s": round(1e6 / statistics.median(times["record"])),
            }
        )
    return rows


async def stream_rate() -> float:
    """MB a second through a link over a Unix socket, both ends in this process."""
    here, there = socket.socketpair()
    for end in (here, there):
        end.setblocking(False)
    entropy = OsEntropy()
    near, far = await asyncio.gather(
        LinkStream.call(here, endpoint_of("bob"), Friends("alice", ["bob"]), entropy),
        LinkStream.answer(there, Friends("bob", ["alice"]), entropy),
    )
    body, buffer = bytes(1 << 20), bytearray(1 << 20)

    async def send() -> None:
        for _ in range(STREAM_BYTES >> 20):
            await near.send(body)

    begun = time.perf_counter()
    sending = asyncio.create_task(send())
    for _ in range(STREAM_BYTES >> 20):
        await far.fill(memoryview(buffer))
    await sending
    seconds = time.perf_counter() - begun
    near.abort()
    far.abort()
    return STREAM_BYTES / 1e6 / seconds


def table(report: dict[str, Any]) -> list[str]:
    whole, yes = report["handshake"], {True: "yes", False: "no"}
    lines = [
        "| one hybrid handshake, both sides | µs |",
        "|---|---|",
        *(f"| {part} | {shown(value, 0)} |" for part, value in whole["parts_us"].items()),
        f"| sum of the primitives | {shown(whole['sum_us'], 0)} |",
        f"| the handshake over a link | {shown(whole['handshake_us'], 0)} |",
        f"| of the sum (≤ {WANTED}) | {shown(whole['ratio'])} |",
        "",
        "| bytes of a handshake, both sides authenticated | post-quantum keys | and signatures | messages | sum | µs |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["bytes"]:
        sizes = row["bytes"]
        took = row.get("us", "")
        kinds = f"{yes[row['kem']]} | {yes[row['signatures']]}"
        lines.append(f"| {row['name']} | {kinds} | {' + '.join(map(str, sizes))} | {sum(sizes)} | {took} |")
    lines += [
        "",
        "| record, sealed and opened | bare AES-256-GCM, µs | in a link, µs | of the bare cipher | a second |",
    ]
    lines.append("|---|---|---|---|---|")
    for row in report["records"]:
        wanted = f" (≤ {row['wanted']})" if row["wanted"] else ""
        bare, record, ratio = shown(row["bare_us"], 1), shown(row["record_us"], 1), shown(row["ratio"])
        lines.append(f"| {row['bytes']} bytes | {bare} | {record} | {ratio}{wanted} | {row['per_s']} |")
    lines += ["", f"Through a Unix socket, both ends in one process: {shown(report['stream_mb_s'], 0)} MB a second."]
    return lines


def main() -> None:
    where = machine()
    report: dict[str, Any] = {"machine": where, "rounds": ROUNDS, "handshake": handshake_rows()}
    report["records"] = record_rows()
    report["bytes"] = byte_rows()
    report["stream_mb_s"] = spread([asyncio.run(stream_rate()) for _ in range(full_or(5, 1))])
    keep("handshake", report, table(report))


if __name__ == "__main__":
    main()
