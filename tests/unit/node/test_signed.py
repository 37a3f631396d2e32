"""Who stands behind a header: signatures that verify are counted, in words that are never more than is true."""

from __future__ import annotations

import dataclasses

from lockgate.lightclients.cometbft.types import SignedHeader
from lockgate.node.signed import signed_by
from tests.support.chain import TestLedger


def spoiled(signed: SignedHeader, place: int) -> SignedHeader:
    """The same header with one validator's signature replaced by another's."""
    signatures = list(signed.commit.signatures)
    other = signatures[(place + 1) % len(signatures)].signature
    signatures[place] = dataclasses.replace(signatures[place], signature=other)
    return dataclasses.replace(signed, commit=dataclasses.replace(signed.commit, signatures=tuple(signatures)))


def test_P10_only_signatures_that_verify_are_counted() -> None:
    block = TestLedger(powers=(10, 10, 10, 10)).produce()
    assert signed_by(block.signed_header, block.validators).words == "finalised by 4 of 4"
    three = signed_by(spoiled(block.signed_header, 1), block.validators)
    assert three.words == "finalised by 3 of 4"
    assert block.validators.validators[1].public_key.hex() not in three.signers


def test_P10_an_absent_validator_did_not_sign_and_one_signer_is_an_operator() -> None:
    ledger = TestLedger(powers=(10, 10, 10, 10))
    absent = ledger.produce(absent={0}, nil={1})
    assert signed_by(absent.signed_header, absent.validators).words == "finalised by 2 of 4"
    alone = TestLedger(powers=(10,)).produce()
    key = alone.validators.validators[0].public_key.hex()
    assert signed_by(alone.signed_header, alone.validators).words == f"signed by operator {key[:16]}"
    forged = dataclasses.replace(alone.signed_header.commit.signatures[0], signature=bytes(64))
    commit = dataclasses.replace(alone.signed_header.commit, signatures=(forged,))
    nobody = signed_by(dataclasses.replace(alone.signed_header, commit=commit), alone.validators)
    assert (nobody.signers, nobody.words) == ((), "signed by nobody")
