"""Certificate paths: one good chain, and each way in which another is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.attest import certificates
from lockgate.attest.certificates import check_path, fingerprint, load, load_pem
from lockgate.attest.errors import EvidenceMalformed, PathRefused
from lockgate.primitives.time import UnixSeconds
from tests.unit.attest.world import DAY, NOW, Party, issue, pem, usage


def chain(**changes: object) -> Party:
    """leaf ← middle ← root, where `changes` are those of the middle one's certificate."""
    root = issue("root", 1)
    return issue("leaf", 3, issue("middle", 2, root, **{"path_length": 0, **changes}), ca=False)  # type: ignore[arg-type]


def anchors(party: Party) -> frozenset[bytes]:
    return frozenset({fingerprint(party.chain[-1])})


def test_a_chain_is_judged_up_to_its_anchor_and_no_further() -> None:
    leaf = chain()
    path = check_path(leaf.chain, anchors(leaf), NOW)
    assert (path.leaf, path.certificates) == (leaf.certificate, leaf.chain)
    middle = frozenset({fingerprint(leaf.chain[1])})
    stranger = issue("stranger", 9, until=-DAY / 2)
    shorter = check_path((*leaf.chain[:2], stranger.certificate), middle, NOW)
    assert (shorter.certificates, shorter.anchor) == (leaf.chain[:2], fingerprint(leaf.chain[1]))


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda: chain(ca=False),
        lambda: chain(ca=False, extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)]),
        lambda: chain(may_sign=False),
        lambda: chain(until=-timedelta(seconds=1)),
        lambda: chain(since=timedelta(seconds=1)),
        lambda: chain(extensions=[(x509.InhibitAnyPolicy(0), True)]),
        lambda: chain(hash_=hashes.SHA224()),
        lambda: issue("leaf", 3, Party(7, chain().chain[1], chain().issuer.issuer), ca=False),  # type: ignore[union-attr]
        lambda: issue("deeper", 4, Party(3, chain().certificate, chain().issuer), ca=False),
    ],
    ids=[
        "says nothing",
        "no CA",
        "may not issue",
        "expired",
        "not yet",
        "critical",
        "weak hash",
        "another key",
        "leaf as issuer",
    ],
)
def test_a_spoilt_chain_is_refused(spoilt: Callable[[], Party]) -> None:
    leaf = spoilt()
    with pytest.raises(PathRefused):
        check_path(leaf.chain, anchors(leaf), NOW)


def test_path_length_counts_the_certificates_between() -> None:
    root = issue("root", 1, path_length=0)
    direct = issue("leaf", 3, root, ca=False)
    check_path(direct.chain, anchors(direct), NOW)
    deeper = issue("leaf", 3, issue("middle", 2, root), ca=False)
    with pytest.raises(PathRefused, match="more certificates"):
        check_path(deeper.chain, anchors(deeper), NOW)


def test_a_root_of_the_same_name_and_another_key_is_no_anchor() -> None:
    leaf, twin = chain(), issue("root", 8)
    with pytest.raises(PathRefused, match="no certificate"):
        check_path(leaf.chain, anchors(twin), NOW)
    with pytest.raises(PathRefused, match="not issued"):
        check_path((*leaf.chain[:2], twin.certificate), anchors(twin), NOW)


def test_a_pinned_leaf_is_no_anchor_and_a_long_chain_is_refused() -> None:
    leaf = chain()
    with pytest.raises(PathRefused, match="no certificate"):
        check_path(leaf.chain, frozenset({fingerprint(leaf.certificate)}), NOW)
    with pytest.raises(PathRefused, match="up to seven"):
        check_path(leaf.chain * 3, anchors(leaf), NOW)
    with pytest.raises(PathRefused, match="up to seven"):
        check_path(leaf.chain[:1], anchors(leaf), NOW)


def test_a_certificate_given_twice_is_no_path() -> None:
    root = issue("root", 1)
    with pytest.raises(PathRefused, match="twice"):
        check_path((root.certificate, root.certificate), anchors(root), NOW)
    leaf = chain()
    with pytest.raises(PathRefused, match="twice"):
        check_path((*leaf.chain, leaf.chain[-1]), anchors(leaf), NOW)


def test_a_leaf_whose_key_is_for_something_else_signs_nothing() -> None:
    other = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    root = issue("root", 1)
    signing = issue("leaf", 3, root, ca=False, extensions=[(usage(False), True)])
    check_path(signing.chain, anchors(signing), NOW)
    leaf = issue("leaf", 3, root, ca=False, extensions=[(other, True)])
    with pytest.raises(PathRefused, match="signing"):
        check_path(leaf.chain, anchors(leaf), NOW)


def test_limits_of_names_are_not_passed_over_when_they_are_not_critical() -> None:
    limits = x509.NameConstraints(permitted_subtrees=[x509.DNSName("a.example")], excluded_subtrees=None)
    leaf = chain(extensions=[(limits, False)])
    with pytest.raises(PathRefused, match="limits names"):
        check_path(leaf.chain, anchors(leaf), NOW)


def test_validity_has_both_its_ends() -> None:
    leaf = chain()
    since = int(leaf.certificate.not_valid_before_utc.timestamp())
    until = int(leaf.certificate.not_valid_after_utc.timestamp())
    for at in (since, until):
        check_path(leaf.chain, anchors(leaf), UnixSeconds(at))
    for at in (since - 1, until + 1):
        with pytest.raises(PathRefused, match="not valid"):
            check_path(leaf.chain, anchors(leaf), UnixSeconds(at))


def test_a_small_rsa_key_issues_nothing() -> None:
    small = rsa.generate_private_key(65537, 1024)
    root = issue("root", 1)
    builder = x509.CertificateBuilder().subject_name(root.certificate.subject).issuer_name(root.certificate.subject)
    builder = builder.public_key(small.public_key()).serial_number(5)
    builder = builder.not_valid_before(root.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(root.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    weak = builder.sign(small, hashes.SHA256())
    builder = x509.CertificateBuilder().subject_name(root.certificate.subject).issuer_name(weak.subject)
    builder = builder.public_key(root.key.public_key()).serial_number(6)
    builder = builder.not_valid_before(root.certificate.not_valid_before_utc)
    leaf = builder.not_valid_after(root.certificate.not_valid_after_utc).sign(small, hashes.SHA256())
    with pytest.raises(PathRefused, match="RSA"):
        check_path((leaf, weak), frozenset({fingerprint(weak)}), NOW)


def test_what_is_no_certificate_is_refused() -> None:
    der = chain().ders[0]
    for data in (b"", der[:-1], der + b"\0", b"\x30" * 40, bytes(certificates.MAX_CERTIFICATE + 1)):
        with pytest.raises(EvidenceMalformed):
            load(data)
    for text in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", bytes(1 << 20)):
        with pytest.raises(EvidenceMalformed):
            load_pem(text)


def test_pem_keeps_its_order_and_a_flipped_bit_anywhere_is_a_typed_refusal() -> None:
    leaf = chain()
    assert load_pem(pem(leaf)) == leaf.chain
    for number, der in enumerate(leaf.ders[:2]):
        for place in range(0, len(der), 3):
            changed = bytearray(der)
            changed[place] ^= 1 << place % 8
            ders = [bytes(changed) if at == number else one for at, one in enumerate(leaf.ders)]
            with pytest.raises((EvidenceMalformed, PathRefused)):
                check_path(tuple(map(load, ders)), anchors(leaf), NOW)


def test_a_key_comes_out_bound_to_its_algorithm() -> None:
    leaf = chain()
    key = certificates.public_key(leaf.certificate, -35)
    assert (key.alg, key.public_bytes) == (-35, leaf.signer.public_key)
    assert load(leaf.certificate.public_bytes(Encoding.DER)) == leaf.certificate
