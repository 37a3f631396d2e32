"""Header buckets: what is covered, what is refused, what must be understood (RFC 9052 §3)."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.envelope.cose.headers import MAX_LABELS, Acceptance, Headers, safe_parse
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import AlgorithmNotAllowed, BadHeader, CriticalHeader, MessageMisuse

ES256 = Acceptance(algorithms=frozenset({-7}), understood=frozenset(), bare_alg=False)


def test_an_empty_protected_bucket_is_covered_as_the_empty_string() -> None:
    assert Headers.build().raw == Headers.build().covered == b""
    assert safe_parse(b"\xa0", {}, Wire.FOREIGN).covered == b""
    assert safe_parse(b"\xa0", {}, Wire.FOREIGN).raw == b"\xa0"


def test_what_is_covered_are_the_bytes_as_received() -> None:
    long_form = bytes.fromhex("a1180126")  # {1: -7} with a label written longer than needed
    assert safe_parse(long_form, {}, Wire.FOREIGN).covered == long_form


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        (b"\xa0", {}),  # ours writes the zero-length string
        (bytes.fromhex("a1180126"), {}),  # not deterministic
        (bytes.fromhex("a201260126"), {}),  # a label twice
        (bytes.fromhex("820126"), {}),  # no map
        (b"\xff", {}),
        (cbor.encode({4: "text"}), {}),  # kid is a byte string
        ("text", {}),
        (b"", []),
    ],
)
def test_ours_refuses_what_is_not_the_one_form(protected: Any, unprotected: Any) -> None:
    with pytest.raises(BadHeader):
        safe_parse(protected, unprotected, Wire.OURS)


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        ({1: -7}, {1: -7}),  # in both buckets
        ({4: b"a"}, {4: b"b"}),
        ({}, {2: (1,)}),  # crit outside
        ({2: ()}, {}),  # crit without a label
        ({2: 1}, {}),
        ({2: (-99,)}, {}),  # names what is not there
        ({5: b"iv"}, {6: b"p"}),  # both kinds of IV
        ({1: b"x"}, {}),
        ({3: -1}, {}),
        ({}, {5: 1}),
        ({}, {b"label": 1}),
        ({}, dict.fromkeys(range(100, 101 + MAX_LABELS), 0)),
    ],
)
def test_rules_for_every_sender(protected: Any, unprotected: Any, wire: Wire) -> None:
    raw = cbor.encode(protected) if protected else b""
    with pytest.raises(BadHeader):
        safe_parse(raw, unprotected, wire)
    with pytest.raises(BadHeader):
        Headers.build(protected, unprotected)


def test_a_foreign_duplicate_label_is_refused() -> None:
    with pytest.raises(BadHeader):
        safe_parse(bytes.fromhex("a201260126"), {}, Wire.FOREIGN)


def test_critical_parameters_must_be_understood() -> None:
    headers = Headers.build({1: -7, 2: ("billing",), "billing": 3})
    with pytest.raises(CriticalHeader):
        ES256.check(headers, -7)
    understands = Acceptance(algorithms=frozenset({-7}), understood=frozenset({"billing"}), bare_alg=False)
    understands.check(headers, -7)
    ES256.check(Headers.build({1: -7, 2: (1,)}), -7)  # the algorithm is understood here


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (Headers.build({1: -8}), -8),  # not in the allowed set
        (Headers.build({1: -8}), -7),  # the message names another than the key
        (Headers.build({}, {1: -7}), -7),  # nobody authenticates it
        (Headers.build(), -7),
    ],
)
def test_algorithms_are_refused(headers: Headers, expected: int) -> None:
    with pytest.raises(AlgorithmNotAllowed):
        ES256.check(headers, expected)


def test_a_bare_algorithm_only_where_it_is_accepted() -> None:
    bare = Acceptance(algorithms=frozenset({-7}), understood=frozenset(), bare_alg=True)
    bare.check(Headers.build({}, {1: -7}), -7)
    bare.check(Headers.build(), -7)
    with pytest.raises(AlgorithmNotAllowed):
        bare.check(Headers.build({}, {1: -8}), -7)


def test_an_algorithm_without_protection_takes_no_protected_parameters() -> None:
    direct = Acceptance(algorithms=frozenset({-6}), understood=frozenset(), bare_alg=False)
    direct.check(Headers.build({}, {1: -6}), -6, protects=False)
    with pytest.raises(BadHeader):
        direct.check(Headers.build({1: -6}), -6, protects=False)


def test_a_parameter_is_added_once() -> None:
    headers = Headers.build({1: -7}).with_unprotected(11, b"x")
    assert headers.unprotected == {11: b"x"}
    with pytest.raises(MessageMisuse):
        headers.with_unprotected(1, -7)
