"""One suite for the ports `Encapsulator` and `Decapsulator`, on the system's and the lab's entropy."""

from __future__ import annotations

import pytest

from lockgate.crypto import hpke
from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.kem import KEMS
from lockgate.crypto.keys import SealingKey, sealing_decapsulator
from lockgate.crypto.mlkem import PARAMETER_SETS
from lockgate.crypto.suites import SEAL_SUITES
from lockgate.keystore.software import OsEntropy
from lockgate.lab.entropy import SeededEntropy

SEED = bytes(range(32))


@pytest.fixture(params=[OsEntropy, lambda: SeededEntropy(SEED)], ids=["system", "lab"])
def entropy(request):
    return request.param()


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda kem: kem.name)
def test_both_sides_get_one_secret_and_each_time_another(entropy, kem):
    key = kem.derive_key(b"k" * 66)
    assert key.kem_id == kem.id
    first, second = (kem.encapsulate(key.public_key, entropy) for _ in range(2))
    for made in (first, second):
        assert key.decapsulate(made.enc) == made.shared_secret
        assert (len(made.shared_secret), len(made.enc)) == (kem.secret_bytes, kem.enc_bytes)
    assert first.enc != second.enc
    assert first.shared_secret != second.shared_secret


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda kem: kem.name)
def test_a_malformed_key_is_refused(entropy, kem):
    for bad in (b"", bytes(kem.public_bytes + 1)):
        with pytest.raises(BadKey):
            kem.encapsulate(bad, entropy)


@pytest.mark.parametrize("name", ["ML-KEM-768", "ML-KEM-1024", "ML-KEM-512", ""])
def test_the_mlkem_verb_refuses_what_is_no_key(entropy, name):
    with pytest.raises(BadKey):
        entropy.mlkem_encapsulate(name, b"\xff" * 10)


@pytest.mark.parametrize("parameters", PARAMETER_SETS.values(), ids=lambda p: p.name)
def test_the_mlkem_verb_refuses_coefficients_above_the_modulus(entropy, parameters):
    key = bytearray(parameters.derive_key(b"k" * 64).public_key)
    entropy.mlkem_encapsulate(parameters.name, bytes(key))
    key[:2] = (3329).to_bytes(2, "little")
    with pytest.raises(BadKey):
        entropy.mlkem_encapsulate(parameters.name, bytes(key))


def test_bytes_come_in_the_length_asked_for(entropy):
    assert [len(entropy.bytes(count)) for count in (0, 1, 32, 1000)] == [0, 1, 32, 1000]
    assert entropy.bytes(32) != entropy.bytes(32)


@pytest.mark.parametrize("suite_id", SEAL_SUITES)
def test_each_seal_suite_seals(entropy, suite_id):
    holder = sealing_decapsulator(suite_id, SEED)
    public = SealingKey(suite_id, holder.public_key)
    suite = public.seal_suite.hpke
    enc, sealed = hpke.seal(suite, public.public_key, b"info", entropy, aad=b"aad", plaintext=b"body")
    assert hpke.open_(suite, enc, holder, b"info", aad=b"aad", ciphertext=sealed) == b"body"
    with pytest.raises(BadEncapsulation):
        holder.decapsulate(enc[:-1])
