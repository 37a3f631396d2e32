"""The memo: what it remembers, what it must not, and that it stays small."""

from __future__ import annotations

import random

import pytest

from lockgate.merkle import ics23, ics23_fast
from lockgate.merkle.errors import LayersDiffer, ProofMismatch, SpecViolation
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.specs import IAVL_SPEC, SMT_SPEC, TENDERMINT_SPEC

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)


def ledger(value: bytes = b"value") -> MultiStore:
    state = MultiStore(("acc", "ibc"))
    state.apply({(name, b"key/%03d" % i): value for name in ("acc", "ibc") for i in range(64)})
    state.commit(1)
    return state


STATE = ledger()
PROOFS = [STATE.prove("ibc", b"key/%03d" % i, 1).merkle_proof for i in range(64)]


def warm() -> ProofMemo:
    memo = ProofMemo(STATE.app_hash, SPECS)
    for i, proof in enumerate(PROOFS):
        memo.membership(proof, (b"ibc", b"key/%03d" % i), b"value")
    return memo


def test_the_shared_part_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ics23.verify_membership
    calls: list[int] = []
    monkeypatch.setattr(ics23, "verify_membership", lambda *a: (calls.append(1), plain(*a)))
    memo = warm()
    assert not calls, "canonical proofs never reach the plain verifier"
    assert len(memo._outer) == 1
    assert len(memo._nodes) == 63, "for every inner node what stands on its right"
    hashed: list[bytes] = []
    short = ics23_fast.short_sha256
    monkeypatch.setattr(ics23_fast, "short_sha256", lambda data: (hashed.append(data), short(data))[1])
    for order in (range(63, -1, -1), random.Random(1).sample(range(64), 64)):
        memo = ProofMemo(STATE.app_hash, SPECS)
        hashed.clear()
        for i in order:
            memo.membership(PROOFS[i], (b"ibc", b"key/%03d" % i), b"value")
        of_one_value, of_leaves, of_stores = 1, 64, 3
        assert len(hashed) <= of_one_value + of_leaves + 2 * 63 + of_stores, "no step is hashed twice in any order"


def test_what_stands_on_the_right_of_an_accepted_node_needs_no_step_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known from its neighbour's proof: nothing is hashed but the leaf; and not one byte may differ."""
    hashed: list[int] = []
    plain = ics23_fast.short_sha256
    memo = ProofMemo(STATE.app_hash, SPECS)
    memo.membership(PROOFS[0], (b"ibc", b"key/000"), b"value")
    monkeypatch.setattr(ics23_fast, "short_sha256", lambda data: (hashed.append(1), plain(data))[1])
    assert memo._accepts(PROOFS[1], b"ibc", b"key/001", b"value")
    assert len(hashed) == 1
    for at in range(len(PROOFS[1])):
        changed = PROOFS[1][:at] + bytes((PROOFS[1][at] ^ 1,)) + PROOFS[1][at + 1 :]
        assert not memo._accepts(changed, b"ibc", b"key/001", b"value")


def test_no_proof_begins_in_another_way_than_its_length_asks_for() -> None:
    """For the bytes that follow an accepted proof's beginning, there is one beginning at most."""
    for size in range(1, 128):
        value = b"v" * size
        state = MultiStore(("ibc",))
        state.apply({("ibc", b"k"): value})
        memo = ProofMemo(state.commit(1), SPECS)
        proof = state.prove("ibc", b"k", 1).merkle_proof
        rest = proof[proof.index(b"\x0a\x01k\x12") :]
        for _ in range(2):
            assert memo._accepts(proof, b"ibc", b"k", value)
            for beginning in (b"", b"\xff", b"\x0a", b"\x0a\x0a", b"\xff" * 6, bytes(4)):
                assert not memo._accepts(beginning + rest, b"ibc", b"k", value)


def test_absence_is_decided_by_the_plain_verifier() -> None:
    memo = warm()
    absent = STATE.prove("ibc", b"key/none", 1).merkle_proof
    memo.non_membership(absent, (b"ibc", b"key/none"))
    with pytest.raises(ProofMismatch):
        memo.non_membership(absent, (b"ibc", b"key/001"))
    with pytest.raises(ProofMismatch):
        memo.membership(absent, (b"ibc", b"key/none"), b"value")


def test_a_warm_memo_still_checks_key_value_and_store() -> None:
    memo = warm()
    for path, value in (
        ((b"ibc", b"key/001"), b"value"),
        ((b"ibc", b"key/000"), b"other"),
        ((b"acc", b"key/000"), b"value"),
        ((b"ibc",), b"value"),
        ((b"ibc", b"key/000", b"x"), b"value"),
        ((b"ibc", b"key/000"), b""),
    ):
        with pytest.raises(ProofMismatch if len(path) == 2 else LayersDiffer):
            memo.membership(PROOFS[0], path, value)


def test_one_store_root_does_not_pass_for_another() -> None:
    """Both stores hold the same keys and versions: only the store-layer proof tells them apart."""
    memo = warm()
    other = STATE.prove("acc", b"key/000", 1)
    memo.membership(other.merkle_proof, (b"acc", b"key/000"), b"value")
    with pytest.raises(ProofMismatch):
        memo.membership(other.merkle_proof, (b"ibc", b"key/000"), b"value")


@pytest.mark.parametrize("root", [b"", bytes(32), ledger(b"another").app_hash])
def test_a_memo_accepts_under_its_own_root_only(root: bytes) -> None:
    memo = ProofMemo(root, SPECS)
    for _ in range(2):
        with pytest.raises(ProofMismatch):
            memo.membership(PROOFS[0], (b"ibc", b"key/000"), b"value")


@pytest.mark.parametrize("specs", [SPECS[::-1], (IAVL_SPEC,), (SMT_SPEC, TENDERMINT_SPEC)])
def test_other_specs_take_the_plain_path(specs: tuple[object, ...]) -> None:
    memo = ProofMemo(STATE.app_hash, specs)  # type: ignore[arg-type]
    with pytest.raises((LayersDiffer, ProofMismatch, SpecViolation)):
        memo.membership(PROOFS[0], (b"ibc", b"key/000"), b"value")
    assert not memo._outer


def test_refused_proofs_leave_nothing_behind() -> None:
    memo = ProofMemo(STATE.app_hash, SPECS)
    stranger = ledger(b"stranger")
    for i in range(64):
        with pytest.raises(ProofMismatch):
            memo.membership(
                stranger.prove("ibc", b"key/%03d" % i, 1).merkle_proof, (b"ibc", b"key/%03d" % i), b"stranger"
            )
    assert not memo._nodes
    assert not memo._outer


def test_the_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MAX_NODES", 8), ("MAX_STORE_PROOFS", 1), ("MAX_HEADERS", 2)):
        monkeypatch.setattr(ics23_fast, name, most)
    memo = ProofMemo(STATE.app_hash, SPECS)
    for _ in range(2):
        for i, proof in enumerate(PROOFS):
            memo.membership(proof, (b"ibc", b"key/%03d" % i), b"value")
            other = STATE.prove("acc", b"key/%03d" % i, 1)
            memo.membership(other.merkle_proof, (b"acc", b"key/%03d" % i), b"value")
    assert len(memo._nodes) <= 8
    assert len(memo._outer) <= 1
    assert len(memo._headers) <= 2
    assert len(memo._leaves) <= 2
