"""Suites as data: preference, heights, downgrade, mixing."""

from __future__ import annotations

import pytest

from lockgate.crypto import suites
from lockgate.crypto.errors import DowngradeRefused, NoCommonSuite, SuiteNotAllowed, UnknownSuite
from lockgate.crypto.suites import SEAL_SUITES, SIGNATURE_SUITES, SUITES, Allowance, SuiteList, refuse_mixed
from lockgate.primitives.errors import Misuse

#   height        0 ……… 9   10 ……… 99   100 …
#   17 (hybrid)   no         yes          yes
#   18 (hybrid)   yes        yes          yes
#   16 (classic)  yes        yes          no
LIST = SuiteList((Allowance(17, from_height=10), Allowance(18), Allowance(16, sunset_height=100)))


def test_ids_are_those_of_the_records_and_kinds_have_their_ranges():
    assert all(suite.id == suite_id for suite_id, suite in SUITES.items())
    assert set(SIGNATURE_SUITES) <= set(range(1, 16))
    assert set(SEAL_SUITES) <= set(range(16, 32))
    assert len({suite.name for suite in SUITES.values()}) == len(SUITES)


def test_the_defaults_are_post_quantum_and_the_labs_deterministic():
    for defaults in (suites.DEFAULT_IDENTITY, suites.DEFAULT_SEAL):
        assert all(SUITES[suite_id].post_quantum for suite_id in defaults.allowed(0))
    assert suites.LAB_IDENTITY.allowed(0) == (suites.SIGN_ED25519.id,)
    assert suites.LAB_SEAL.allowed(0) == (suites.SEAL_X25519.id,)


@pytest.mark.parametrize("suite_id", [0, 17, 99, -1, True, "1", None, (1,), b"\x01"])
def test_an_unknown_signature_suite_is_refused(suite_id):
    with pytest.raises(UnknownSuite):
        suites.signature_suite(suite_id)


@pytest.mark.parametrize("suite_id", [0, 1, 99, True, "17", None])
def test_an_unknown_seal_suite_is_refused(suite_id):
    with pytest.raises(UnknownSuite):
        suites.seal_suite(suite_id)


@pytest.mark.parametrize(
    ("height", "expected"), [(0, (18, 16)), (9, (18, 16)), (10, (17, 18, 16)), (99, (17, 18, 16)), (100, (17, 18))]
)
def test_suites_come_and_go_at_their_heights(height, expected):
    assert LIST.allowed(height) == expected


def test_preference_decides_not_the_order_of_the_offer():
    assert LIST.choose([16, 18, 17], 10) == 17
    assert LIST.choose([16, 18, 17], 9) == 18
    assert LIST.choose([16], 99) == 16
    with pytest.raises(NoCommonSuite):
        LIST.choose([16], 100)
    with pytest.raises(NoCommonSuite):
        LIST.choose([], 10)


@pytest.mark.parametrize(("suite_id", "height"), [(17, 9), (16, 100), (2, 10), (99, 10)])
def test_a_suite_outside_its_heights_is_not_allowed(suite_id, height):
    with pytest.raises(SuiteNotAllowed):
        LIST.require(suite_id, height)
    with pytest.raises(SuiteNotAllowed):
        LIST.refuse_downgrade(suite_id, [16, 17, 18], height)


def test_a_downgrade_is_refused():
    LIST.refuse_downgrade(17, [16, 17, 18], 10)
    LIST.refuse_downgrade(16, [16], 10)  # the peer has nothing better, and proved it
    for weaker in (18, 16):
        with pytest.raises(DowngradeRefused):
            LIST.refuse_downgrade(weaker, [16, 17, 18], 10)


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (Allowance(17), Allowance(17)),
        (Allowance(17), Allowance(1)),
        (Allowance(17, from_height=5, sunset_height=5),),
    ],
)
def test_a_list_that_makes_no_sense_is_misuse(entries):
    with pytest.raises(Misuse):
        SuiteList(entries)


def test_a_list_of_unknown_suites_is_refused():
    with pytest.raises(UnknownSuite):
        SuiteList((Allowance(99),))


def test_classical_and_post_quantum_recipients_do_not_mix():
    refuse_mixed([17, 18])
    refuse_mixed([16])
    refuse_mixed([])
    with pytest.raises(DowngradeRefused):
        refuse_mixed([17, 16])
