"""Names of issuers: an authority's fingerprint, and policies that its leaf must meet, every one of them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lockgate.attest.did_x509 import DidX509
from lockgate.attest.errors import EvidenceMalformed, IssuerRefused, PathRefused
from lockgate.primitives.time import UnixSeconds
from tests.unit.attest.world import CODE_SIGNING, NOW, Party, did, issue

NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("a.example"),
        x509.RFC822Name("a@example"),
        x509.UniformResourceIdentifier("https://a.example/x"),
    ]
)


def leaf() -> Party:
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING])
    middle = issue("middle", 2, issue("root", 1))
    return issue("leaf: of one", 3, middle, ca=False, extensions=[(usages, False), (NAMES, False)])


@pytest.mark.parametrize(
    "policy",
    [
        f"eku:{CODE_SIGNING}",
        "subject:CN:leaf%3A%20of%20one",
        "subject:CN:leaf%3A%20of%20one:C:US",
        "subject:2.5.4.3:leaf%3A%20of%20one",
        "san:dns:a.example",
        "san:email:a@example",
        "san:uri:https%3A%2F%2Fa.example%2Fx",
        f"san:dns:a.example::eku:{CODE_SIGNING}::subject:C:US",
    ],
)
def test_a_leaf_that_meets_every_policy_speaks_for_the_name(policy: str) -> None:
    party = leaf()
    assert DidX509.parse(did(party, policy)).path(party.chain, NOW).leaf == party.certificate


@pytest.mark.parametrize(
    "policy",
    [
        "eku:1.2.3",
        f"eku:{CODE_SIGNING}:{CODE_SIGNING}",
        "subject:CN:leaf",
        "subject:CN:leaf%3A%20of%20one:O:nobody",
        "subject:CN:leaf%3A%20of%20one:CN:leaf%3A%20of%20one",
        "subject:CN",
        "subject:XX:y",
        "subject:2.5.4.5:y",
        "san:dns:b.example",
        "san:ip:127.0.0.1",
        "san:dns",
        "fulcio-issuer:example.com",
        f"eku:{CODE_SIGNING}::san:dns:b.example",
    ],
)
def test_one_policy_that_is_not_met_or_not_known_refuses_the_chain(policy: str) -> None:
    party = leaf()
    with pytest.raises(IssuerRefused, match="policy"):
        DidX509.parse(did(party, policy)).path(party.chain, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "did:web:example.com",
        "did:x509:1:sha256:AAAA::eku:1.2",
        "did:x509:0:sha1:AAAA::eku:1.2",
        "did:x509:0:sha256:AAAA::eku:1.2",
        "did:x509:0:sha256:!!::eku:1.2",
        f"did:x509:0:sha256:{'A' * 43}",
        f"did:x509:0:sha256:{'A' * 43}::eku",
        f"did:x509:0:sha256:{'A' * 43}::eku:",
        f"did:x509:0:sha256:{'A' * 43}::",
        f"did:x509:0:sha256:{'A' * 43}::subject:CN:%ff",
        f"did:x509:0:sha256:{'A' * 43}::eku:{'1.' * 1024}2",
    ],
)
def test_what_is_no_name_of_this_method_is_refused(text: str) -> None:
    with pytest.raises(EvidenceMalformed):
        DidX509.parse(text)


def test_the_fingerprint_is_of_an_authority_and_never_of_the_leaf() -> None:
    party = leaf()
    own = base64.urlsafe_b64encode(hashlib.sha256(party.ders[0]).digest()).rstrip(b"=").decode()
    with pytest.raises(IssuerRefused, match="fingerprint"):
        DidX509.parse(f"did:x509:0:sha256:{own}::eku:{CODE_SIGNING}").path(party.chain, NOW)
    middle = base64.urlsafe_b64encode(hashlib.sha512(party.ders[1]).digest()).rstrip(b"=").decode()
    path = DidX509.parse(f"did:x509:0:sha512:{middle}::eku:{CODE_SIGNING}").path(party.chain, NOW)
    assert len(path.certificates) == 2


def test_a_name_lends_no_validity() -> None:
    party = leaf()
    with pytest.raises(PathRefused):
        DidX509.parse(did(party)).path(party.chain, UnixSeconds(NOW + 7 * 86_400))
