"""What a light client spends on one header and on one proof, beside CometBFT's and ics23's Go verifiers, in turns.

    python -m bench.verification

150 validators of unequal power, all of them signed. Both sides start from the bytes of what is judged and hold what is
trusted already; nothing is remembered between two headers. "batch" proves 50 keys of one block under one root.
"""

from __future__ import annotations

import json
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any

from tests.support.chain import DRIFT, TRUSTING, TestLedger

from bench.peers.go_program import GoProgram, PeerAbsent
from bench.report import full_or, keep, machine, shown, spread
from lockgate.codec.wire import ibc_commitment_pb2 as commitment_wire
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.lightclients.cometbft import decoding, encoding
from lockgate.lightclients.cometbft.soundness import sound_block
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import Trusted, TrustedState, TrustOptions, verify
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds

VALIDATORS = 150
HEADERS = 8  # of each kind, so that no round judges one header twice in a row
SKIP = 10  # heights
KEYS, BATCH = 100_000, 50
STORES = ("ibc", *(f"store{i:02d}" for i in range(14)))
TURNS = full_or(11, 2)
TIMES = {"adjacent": 2, "skipping": 2, "membership": 10}
WITHIN = 1.5  # of the Go verifier's time, for one


@dataclass(frozen=True, slots=True)
class Update:
    """A trusted block and the bytes of a later one."""

    trusted: LightBlock
    block: bytes
    now: UnixNanos

    def judge(self) -> None:
        """From bytes to verdict."""
        message = decoding.parse(wire.LightBlock, self.block)
        block = sound_block(
            decoding.signed_header(message.signed_header), decoding.validator_set(message.validator_set)
        )
        header = self.trusted.header
        state = TrustedState(header.chain_id, header.height, header.time, header.next_validators_hash)
        options = TrustOptions(trusting_period=TRUSTING, clock_drift=DRIFT)
        verdict = verify(state, self.trusted.next_validators, block, options, self.now)
        if not isinstance(verdict, Trusted):
            raise RuntimeError(f"a sound header was refused: {verdict}")


@dataclass(frozen=True, slots=True)
class Membership:
    """One key of a block's state, with its proof."""

    root: bytes
    proof: bytes
    key: bytes
    value: bytes


def light_block(block: LightBlock) -> bytes:
    """The bytes of CometBFT's LightBlock message."""
    signed, validators = encoding.signed_header(block.signed_header), encoding.validator_set(block.validators)
    message = wire.LightBlock()
    message.signed_header.ParseFromString(signed)
    message.validator_set.ParseFromString(validators)
    return message.SerializeToString(deterministic=True)


def updates(step: int) -> list[Update]:
    """`HEADERS` pairs of blocks `step` heights apart."""
    ledger = TestLedger("bench-1", powers=[1_000 + 7 * place for place in range(VALIDATORS)])
    ledger.run(HEADERS * step + 1)
    found = []
    for start in range(1, HEADERS * step + 1, step):
        block = ledger.block(start + step)
        now = UnixNanos(block.header.time + seconds(5))
        found.append(Update(ledger.block(start), light_block(block), now))
    return found


def memberships() -> list[Membership]:
    """`BATCH` keys that one block wrote into a store of `KEYS`."""
    rng = Random(1)
    state = MultiStore(STORES)
    state.apply({(name, b"seed"): b"\x01" for name in STORES})
    state.apply({("ibc", rng.randbytes(32)): rng.randbytes(32) for _ in range(KEYS)})
    state.commit(1)
    writes = {rng.randbytes(32): rng.randbytes(32) for _ in range(BATCH)}
    state.apply({("ibc", key): value for key, value in writes.items()})
    state.commit(2)
    return [
        Membership(state.app_hash, state.prove("ibc", key, 2).merkle_proof, key, value) for key, value in writes.items()
    ]


def one_by_one(cases: Sequence[Membership]) -> None:
    """Every proof with nothing remembered."""
    for case in cases:
        ProofMemo(case.root).membership(case.proof, (b"ibc", case.key), case.value)


def in_batch(cases: Sequence[Membership]) -> None:
    """The proofs of one block together, as a relayer's batch arrives."""
    memo = ProofMemo(cases[0].root)
    for case in cases:
        memo.membership(case.proof, (b"ibc", case.key), case.value)


def written(adjacent: Sequence[Update], skipping: Sequence[Update], proofs: Sequence[Membership], path: Path) -> None:
    """Write the cases as the Go program reads them."""

    def text(data: bytes) -> str:
        return b64encode(data).decode()

    def update(case: Update) -> dict[str, Any]:
        return {
            "trusted": text(light_block(case.trusted)),
            "next": text(encoding.validator_set(case.trusted.next_validators)),
            "block": text(case.block),
            "now": case.now,
        }

    def membership(case: Membership) -> dict[str, Any]:
        layers = decoding.parse(commitment_wire.MerkleProof, case.proof).proofs
        return {
            "root": text(case.root),
            "proofs": [text(layer.SerializeToString(deterministic=True)) for layer in layers],
            "path": [text(b"ibc"), text(case.key)],
            "value": text(case.value),
        }

    cases = {
        "trusting_s": TRUSTING // NANOS_PER_SECOND,
        "drift_s": DRIFT // NANOS_PER_SECOND,
        "adjacent": list(map(update, adjacent)),
        "skipping": list(map(update, skipping)),
        "membership": list(map(membership, proofs)),
    }
    path.write_text(json.dumps(cases))


def timed(work: Callable[[], object], times: int, count: int) -> float:
    """Microseconds for one of `count` cases."""
    start = perf_counter_ns()
    for _ in range(times):
        work()
    return (perf_counter_ns() - start) / times / count / 1000


def row(name: str, work: Callable[[], object], kind: str, count: int, peer: GoProgram | None) -> dict[str, Any]:
    """One row: rounds of both sides in turn; the first is not counted."""
    ours, theirs = [], []
    for turn in range(TURNS + 1):
        other = int(peer.ask(f"{kind} {TIMES[kind]}")) / 1000 if peer else None
        own = timed(work, TIMES[kind], count)
        if not turn:
            continue
        ours.append(own)
        if other is not None:
            theirs.append(other)
    found: dict[str, Any] = {"what": name, "us": spread(ours)}
    if theirs:
        found |= {"go_us": spread(theirs), "of_go": spread([a / b for a, b in zip(ours, theirs, strict=True)])}
    return found


def cells(found: dict[str, Any]) -> str:
    """One line of the table."""
    peer = (shown(found["go_us"], 0), shown(found["of_go"])) if "of_go" in found else ("not measured", "")
    return f"| {found['what']} | {shown(found['us'], 0)} | {peer[0]} | {peer[1]} |"


def main() -> dict[str, Any]:
    """Measure, print, keep."""
    report: dict[str, Any] = {"machine": machine(), "validators": VALIDATORS, "rows": []}
    adjacent, skipping, proofs = updates(1), updates(SKIP), memberships()

    def judge(cases: Sequence[Update]) -> None:
        for case in cases:
            case.judge()

    work: tuple[tuple[str, Callable[[], object], str, int], ...] = (
        ("next header", lambda: judge(adjacent), "adjacent", HEADERS),
        (f"header {SKIP} heights on", lambda: judge(skipping), "skipping", HEADERS),
        ("one membership proof", lambda: one_by_one(proofs), "membership", BATCH),
        (f"membership proof in a batch of {BATCH}", lambda: in_batch(proofs), "membership", BATCH),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.json"
        written(adjacent, skipping, proofs, path)
        try:
            peer: GoProgram | None = GoProgram("verifier", str(path))
        except PeerAbsent as absent:
            report["peer"] = str(absent)
            print(absent)
            peer = None
        report["rows"] = [row(*one, peer) for one in work]
        if peer:
            peer.close()
    head = (f"| µs | Lockgate | Go | of Go's time (single: ≤ {WITHIN}) |", "|---|---|---|---|")
    keep("verification", report, (*head, *map(cells, report["rows"])))
    return report


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
