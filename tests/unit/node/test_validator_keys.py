"""The key files of a validator's node: the one it signs with, and the next."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from lockgate.crypto import ed25519
from lockgate.lightclients.cometbft.types import address_of
from lockgate.node import validator_keys
from lockgate.node.validator_keys import BadValidatorKey


def test_a_next_key_is_made_once_and_takes_the_place_of_the_last(tmp_path: Path) -> None:
    assert validator_keys.following(tmp_path) is None
    made = validator_keys.prepare(tmp_path)
    assert validator_keys.prepare(tmp_path).public_key == made.public_key
    with pytest.raises(BadValidatorKey):
        validator_keys.public_key(tmp_path)  # it does not sign yet
    validator_keys.follow(tmp_path)
    assert validator_keys.public_key(tmp_path) == made.public_key
    assert validator_keys.following(tmp_path) is None
    assert validator_keys.prepare(tmp_path).public_key != made.public_key


def test_the_file_has_the_form_that_cometbft_reads_and_is_its_owners(tmp_path: Path) -> None:
    key = validator_keys.prepare(tmp_path)
    path = tmp_path / validator_keys.NEXT
    record = json.loads(path.read_text())
    assert record["address"] == address_of(key.public_key).hex().upper()
    assert record["pub_key"]["type"] == "tendermint/PubKeyEd25519"
    assert record["priv_key"]["type"] == "tendermint/PrivKeyEd25519"
    private = b64decode(record["priv_key"]["value"])
    assert private[32:] == key.public_key == ed25519.SigningKey(private[:32]).public_key
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("spoilt", ["cut", "another's public key", "short"])
def test_a_file_that_does_not_read_is_refused_and_stays(tmp_path: Path, spoilt: str) -> None:
    validator_keys.prepare(tmp_path)
    path = tmp_path / validator_keys.NEXT
    record = json.loads(path.read_text())
    if spoilt == "another's public key":
        record["pub_key"]["value"] = b64encode(ed25519.SigningKey(bytes(32)).public_key).decode()
    elif spoilt == "short":
        record["priv_key"]["value"] = b64encode(bytes(63)).decode()
    text = json.dumps(record)[: 40 if spoilt == "cut" else None]
    path.write_text(text)
    for use in (validator_keys.following, validator_keys.prepare):
        with pytest.raises(BadValidatorKey) as refusal:
            use(tmp_path)
        assert "priv" not in json.dumps(refusal.value.fields).replace("priv_key", "")
    assert path.read_text() == text


def test_a_next_key_that_will_not_sign_is_forgotten(tmp_path: Path) -> None:
    validator_keys.prepare(tmp_path)
    validator_keys.drop(tmp_path)
    validator_keys.drop(tmp_path)
    assert validator_keys.following(tmp_path) is None
