"""Proof specs: the standard ones, which form they have, and what is no spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle.errors import ProofMalformed
from lockgate.merkle.specs import (
    IAVL_SPEC,
    IAVL_SPEC_BYTES,
    JMT_SPEC,
    MAX_SPEC_BYTES,
    SMT_SPEC,
    TENDERMINT_SPEC,
    TENDERMINT_SPEC_BYTES,
    Form,
    HashOp,
    ProofSpec,
)


def test_the_standard_specs_are_the_bytes_of_live_client_states() -> None:
    assert ProofSpec.from_bytes(IAVL_SPEC_BYTES) == IAVL_SPEC
    assert ProofSpec.from_bytes(TENDERMINT_SPEC_BYTES) == TENDERMINT_SPEC


def test_forms() -> None:
    forms = [spec.form for spec in (IAVL_SPEC, TENDERMINT_SPEC, SMT_SPEC, JMT_SPEC)]
    assert forms == [Form.IAVL, Form.SIMPLE, Form.GENERIC, Form.GENERIC]


def test_depth_and_leaf_prefix_do_not_lift_the_rules_of_a_form() -> None:
    assert replace(IAVL_SPEC, max_depth=64, leaf=replace(IAVL_SPEC.leaf, prefix=b"")).form is Form.IAVL
    assert replace(TENDERMINT_SPEC, min_depth=1).form is Form.SIMPLE
    assert replace(IAVL_SPEC, inner=replace(IAVL_SPEC.inner, child_size=34)).form is Form.GENERIC
    assert replace(IAVL_SPEC, leaf=replace(IAVL_SPEC.leaf, hash=HashOp.SHA512)).form is Form.GENERIC


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.ClearField("leaf_spec"),
        lambda m: m.ClearField("inner_spec"),
        lambda m: m.inner_spec.child_order.append(2**31 - 1),
        lambda m: m.inner_spec.child_order.append(0),
        lambda m: m.inner_spec.child_order.append(-1),
        lambda m: m.inner_spec.child_order.extend(range(2, 17)),
        lambda m: setattr(m.inner_spec, "child_size", -1),
        lambda m: setattr(m.inner_spec, "min_prefix_length", -1),
        lambda m: setattr(m.inner_spec, "max_prefix_length", -1),
        lambda m: setattr(m, "max_depth", -1),
        lambda m: setattr(m, "min_depth", -1),
    ],
)
def test_what_fits_no_tree_is_refused(spoil: Callable[[wire.ProofSpec], object]) -> None:
    message = wire.ProofSpec.FromString(IAVL_SPEC_BYTES)
    spoil(message)
    with pytest.raises(ProofMalformed):
        ProofSpec.from_bytes(message.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\x05", bytes(MAX_SPEC_BYTES + 1), IAVL_SPEC_BYTES[:-1]])
def test_bytes_that_are_no_spec_are_refused(data: bytes) -> None:
    with pytest.raises(ProofMalformed):
        ProofSpec.from_bytes(data)
