"""State trees and proofs: microseconds of processor time per key, medians and the range of the rounds.

    python bench/merkle.py [keys ...]        default 1000 100000

Blocks of 50 keys. "random" keys spread over the tree, "packets" follow one another as commitments do.
"cold" verifies each proof with a fresh memo, "warm" the 50 proofs of a block with one.
"""

from __future__ import annotations

import platform
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from time import process_time_ns

from lockgate.merkle import ics23
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, TENDERMINT_SPEC

BLOCK = 50
ROUNDS = 15
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


def main() -> None:
    sizes = [int(argument) for argument in sys.argv[1:]] or [1_000, 100_000]
    print(
        f"{platform.processor() or platform.machine()}, CPython {platform.python_version()}; us per key, median (range)"
    )
    tables = {size: measure(size) for size in sizes}
    print(f"{'':24}" + "".join(f"{f'{size:,} keys':>26}" for size in sizes))
    for name in tables[sizes[0]]:
        cells = [tables[size][name] for size in sizes]
        print(f"{name:24}" + "".join(f"{median(c):12.1f} ({min(c):.1f}-{max(c):.1f})".rjust(26) for c in cells))


if __name__ == "__main__":
    main()
