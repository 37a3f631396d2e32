"""One suite for the port `Signer`, run on the software keys and on the lab's seeded ones."""

from __future__ import annotations

import pytest

from lockgate.crypto import hybrid
from lockgate.crypto.errors import BadKey
from lockgate.crypto.keys import KeyRole
from lockgate.crypto.signatures import ALGORITHMS
from lockgate.crypto.suites import signature_suite
from lockgate.keystore import software
from lockgate.lab import entropy

SEED = bytes(range(32))
SIGNERS = {
    **{f"software {name}": lambda seed, name=name: software.signer(name, seed) for name in ALGORITHMS},
    **{f"lab {name}": lambda seed, name=name: entropy.seeded_signer(name, seed) for name in ALGORITHMS},
}


@pytest.fixture(params=SIGNERS)
def make(request):
    return SIGNERS[request.param]


def test_a_signature_verifies_under_its_algorithm(make):
    signer = make(SEED)
    algorithm = ALGORITHMS[signer.algorithm]
    algorithm.check_public_key(signer.public_key)
    for message in (b"", b"m", b"m" * 5000):
        signature = signer.sign(message)
        assert len(signature) == algorithm.signature_bytes
        assert algorithm.verify(signer.public_key, signature, message)
        assert not algorithm.verify(signer.public_key, signature, message + b"!")


def test_a_seed_names_a_key(make):
    assert make(SEED).public_key == make(SEED).public_key
    assert make(SEED).public_key != make(SEED[::-1]).public_key


def test_the_key_is_not_shown(make):
    signer = make(SEED)
    assert SEED[:8].hex() not in repr(signer)
    assert repr(SEED)[2:20] not in repr(signer)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_another_seed_length_is_refused(make, seed):
    with pytest.raises(BadKey):
        make(seed)


@pytest.mark.parametrize("suite_id", [1, 2])
def test_software_and_lab_grow_the_same_identity(suite_id):
    ours = software.identity_signer(suite_id, SEED, KeyRole.IDENTITY)
    labs = entropy.seeded_identity_signer(suite_id, SEED, KeyRole.IDENTITY)
    assert ours.key == labs.key
    for signer in (ours, labs):
        assert ours.key.verify(b"m", signer.sign(b"m"))
    assert labs.sign(b"m") == labs.sign(b"m")


def test_a_hybrid_is_made_of_any_two_adapters():
    suite = signature_suite(2)
    signers = (software.signer("Ed25519", SEED), entropy.seeded_signer("ML-DSA-65", SEED))
    signature = hybrid.sign(suite, signers, b"m")
    assert hybrid.verify(suite, [s.public_key for s in signers], b"m", signature)


@pytest.mark.parametrize("factory", [software.signer, entropy.seeded_signer])
def test_an_algorithm_without_an_adapter_is_refused(factory):
    with pytest.raises(BadKey):
        factory("RSA", SEED)
