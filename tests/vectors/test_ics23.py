"""ICS-23: recorded proofs, unit tables and inputs that once crashed a verifier."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import absence, ics23, operations
from lockgate.merkle.specs import IAVL_SPEC, SMT_SPEC, TENDERMINT_SPEC, ProofSpec
from lockgate.primitives.errors import LockgateError
from tests.vectors.sets import Tally, vector_set

SPECS = {"iavl": IAVL_SPEC, "tendermint": TENDERMINT_SPEC, "smt": SMT_SPEC}


def refused(check: Callable[[], object]) -> bool:
    try:
        check()
    except LockgateError:
        return True
    return False


def verify(spec: ProofSpec, root: bytes, key: bytes, value: bytes, proof: wire.CommitmentProof) -> None:
    if value:
        ics23.verify_existence(ics23.existence_of(proof, key), spec, root, key, value)
    else:
        ics23.verify_non_existence(ics23.non_existence_of(proof, spec, key), spec, root, key)


def test_proofs() -> None:
    tally = Tally("ics23", "proofs")
    for file in sorted(vector_set("ics23", "proofs").glob("*.json")):
        case = json.loads(file.read_text())
        root, key, value, raw = (bytes.fromhex(case[name]) for name in ("root", "key", "value", "proof"))
        proof = ics23.parse_proof(raw)
        named = file.name.partition("_")[0]
        good = not refused(lambda: verify(SPECS[named], root, key, value, proof))  # noqa: B023
        sides = (proof.nonexist.left.key, proof.nonexist.right.key)
        spoilt = [
            (SPECS[named], bytes(32), key, value),
            (SPECS[named], root, key + b"\x00" if value else max(sides), value),
            (SPECS[named], root, key, value + b"x"),
            (SPECS[named], root, key, b"" if value else b"v"),
            *((spec, root, key, value) for name, spec in SPECS.items() if {name, named} & {"smt"} and name != named),
        ]
        bad = all(refused(lambda c=c: verify(*c, proof)) for c in spoilt)  # type: ignore[misc]  # noqa: B023
        tally.check(good and bad, file.name)
    tally.close()


def test_unit_tables() -> None:
    tally = Tally("ics23", "unit")
    for file in sorted(vector_set("ics23", "unit").glob("*.json")):
        table = json.loads(file.read_text())
        cases = table.items() if isinstance(table, dict) else enumerate(table)
        for name, case in cases:
            tally.check(unit(case), f"{file.name}:{name}")
    tally.close()


def unit(case: dict[str, Any]) -> bool:
    """Tell a table's kind by its fields and compare the outcome."""
    if "Preimage" in case or "PreImage" in case:
        preimage = case.get("Preimage", case.get("PreImage"))
        try:
            return operations.do_hash(case["HashOp"], preimage.encode()).hex() == case["ExpectedHash"]
        except LockgateError:
            return False
    if "IsLeft" in case:
        spec, op = spec_of(case["Spec"]), message(wire.InnerOp, case["Op"])
        left = absence.has_empty_branches(spec.inner, op, left=True)
        right = absence.has_empty_branches(spec.inner, op, left=False)
        return (left, right) == (case["IsLeft"], case["IsRight"])
    if "Leaf" in case:
        leaf = message(wire.LeafOp, case["Leaf"])
        spec = spec_of({"leaf_spec": case["Spec"], "inner_spec": {}})
        return refused(lambda: ics23.check_leaf(leaf, spec)) == case["IsErr"]
    if "Spec" in case:
        proof = message(wire.ExistenceProof, case["Proof"])
        wrong = refused(lambda: ics23.check_existence_spec(proof, spec_of(case["Spec"])))
        return wrong == bool(case.get("IsErr") or case.get("Err"))
    if "Proof" in case:
        proof = message(wire.ExistenceProof, case["Proof"])
        return outcome(case, lambda: ics23.calculate_root(proof))
    if "Child" in case:
        op, child = message(wire.InnerOp, case["Op"]), base64.b64decode(case["Child"] or "")
        return outcome(case, lambda: operations.inner_hash(op, child))
    leaf = message(wire.LeafOp, case["Op"])
    key, value = (base64.b64decode(case[name] or "") for name in ("Key", "Value"))
    return outcome(case, lambda: operations.leaf_hash(leaf, key, value))


def outcome(case: dict[str, Any], compute: Callable[[], bytes]) -> bool:
    try:
        computed = compute()
    except LockgateError:
        return bool(case["IsErr"])
    return not case["IsErr"] and computed == base64.b64decode(case["Expected"] or "")


def message(kind: Any, value: Any) -> Any:
    return json_format.ParseDict(value or {}, kind(), ignore_unknown_fields=True)


def spec_of(value: Any) -> ProofSpec:
    return ProofSpec.from_wire(message(wire.ProofSpec, value))


def test_fuzz_seeds() -> None:
    tally = Tally("ics23", "fuzz-seeds")
    for file in sorted(vector_set("ics23", "fuzz-seeds").glob("*")):
        raw = file.read_bytes()
        accepted = False
        for spec in SPECS.values():
            for parse in (ics23.parse_proof, ics23.parse_merkle_proof):
                accepted |= not refused(lambda parse=parse: verify_any(parse(raw), spec))  # type: ignore[misc]  # noqa: B023
        try:
            fields = json.loads(raw)
            proof = message(wire.ExistenceProof, fields.get("Proof", fields) if isinstance(fields, dict) else {})
        except (ValueError, json_format.ParseError):
            proof = wire.ExistenceProof()
        for spec in SPECS.values():
            accepted |= not refused(lambda spec=spec: ics23.verify_existence(proof, spec, b"", b"", b""))  # type: ignore[misc]  # noqa: B023
        tally.check(not accepted, file.name)
    tally.close()


def verify_any(proof: Any, spec: ProofSpec) -> None:
    if isinstance(proof, wire.CommitmentProof):
        verify(spec, b"", b"", b"", proof)
    else:
        ics23.verify_membership((spec, spec), b"", (b"a", b"b"), b"v", proof.SerializeToString())
