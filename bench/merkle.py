"""State trees and proofs: microseconds of processor time per key, medians and the range of the rounds.

    python -m bench.merkle [keys ...]        default 1000 100000

Blocks of 50 keys. "random" keys spread over the tree, "packets" follow one another as commitments do.
"cold" verifies each proof with a fresh memo, "warm" the 50 proofs of a block with one.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable
from time import process_time_ns
from typing import Any

from bench.report import full_or, keep, machine, shown, spread
from lockgate.merkle import ics23
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC

BLOCK = 50
ROUNDS = full_or(15, 3)
SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
STORES = ("ibc", *(f"store{i:02d}" for i in range(14)))
Times = dict[str, list[float]]


def per_key(work: Callable[[], object]) -> float:
    start = process_time_ns()
    work()
    return (process_time_ns() - start) / BLOCK / 1000


def one_block(state: MultiStore, keys: list[bytes], rng: random.Random, kind: str, times: Times) -> None:
    writes = {("ibc", key): rng.randbytes(32) for key in keys}
    version = state.version + 1

    def set_and_save() -> None:
        state.apply(writes)
        state.commit(version)

    times[f"{kind}: set, save"].append(per_key(set_and_save))
    proofs: list[bytes] = []
    prove = per_key(lambda: proofs.extend(state.prove("ibc", key, version).merkle_proof for key in keys))
    times[f"{kind}: prove"].append(prove)
    root = state.app_hash
    claims = [(proof, (b"ibc", key), writes["ibc", key]) for proof, key in zip(proofs, keys, strict=True)]
    memo = ProofMemo(root, SPECS)

    def plain() -> None:
        for proof, path, value in claims:
            ics23.verify_membership(SPECS, root, path, value, proof)

    def cold() -> None:
        for claim in claims:
            ProofMemo(root, SPECS).membership(*claim)

    def warm() -> None:
        for claim in claims:
            memo.membership(*claim)

    for name, verify in (("plain", plain), ("cold", cold), ("warm", warm)):
        times[f"{kind}: verify {name}"].append(per_key(verify))
    state.prune(version - 2)


def measure(size: int) -> Times:
    rng = random.Random(1)
    times: Times = defaultdict(list)
    state = MultiStore(STORES)
    state.apply({(name, b"seed"): b"\x01" for name in STORES})
    state.apply({("ibc", rng.randbytes(32)): rng.randbytes(32) for _ in range(size)})
    state.commit(1)
    for turn in range(ROUNDS):
        one_block(state, [rng.randbytes(32) for _ in range(BLOCK)], rng, "random", times)
        packets = [b"07-tendermint-0\x01" + (turn * BLOCK + i).to_bytes(8, "big") for i in range(BLOCK)]
        one_block(state, packets, rng, "packets", times)
    return times


def main() -> dict[str, Any]:
    """Measure, print, keep."""
    sizes = [int(argument) for argument in sys.argv[1:]] or full_or([1_000, 100_000], [1_000, 10_000])
    report: dict[str, Any] = {"machine": machine(), "keys_per_block": BLOCK, "us_per_key": {}}
    for size in sizes:
        report["us_per_key"][size] = {name: spread(found) for name, found in measure(size).items()}
    columns = [report["us_per_key"][size] for size in sizes]
    table = [
        "| µs of processor time per key | " + " | ".join(f"{size:,} keys" for size in sizes) + " |",
        "|---" * (1 + len(sizes)) + "|",
        *(f"| {name} | " + " | ".join(shown(column[name], 1) for column in columns) + " |" for name in columns[0]),
    ]
    keep("merkle", report, table)
    return report


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
