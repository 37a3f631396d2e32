"""The bytes of a key file: what opens them, and what every other byte string is called."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from lockgate.codec import cbor
from lockgate.crypto.errors import UnknownSuite
from lockgate.crypto.keys import KeyRole, SecretBytes
from lockgate.keystore.errors import KeyFileDamaged, WeakPassphrase, WrongPassphrase
from lockgate.keystore.sealed import MAGIC, MAX_FILE_BYTES, StoredKey, open_keys, seal_keys
from lockgate.keystore.software import OsEntropy
from lockgate.keystore.stretch import Cost, Passphrase, roots_from_bytes, roots_to_bytes
from lockgate.primitives.errors import Misuse

CHEAP = Cost(memory_kib=8, iterations=1, lanes=1)
SECRET = bytes(range(200, 232))
KEYS = {
    "identity": StoredKey(KeyRole.IDENTITY, 2, SecretBytes(SECRET)),
    "sealing": StoredKey(KeyRole.SEALING, 17, SecretBytes(bytes(32))),
}
PASSPHRASE = Passphrase("correct horse")
DATA = seal_keys(KEYS, PASSPHRASE, OsEntropy(), CHEAP)
BODY = len(MAGIC) + 32


def with_checksum(body):
    return MAGIC + hashlib.sha256(body).digest() + body


def altered(position, value):
    fields = list(cbor.decode(DATA[BODY:]))
    fields[position] = value
    return with_checksum(cbor.encode(fields))


def test_keys_come_back():
    assert open_keys(DATA, PASSPHRASE) == KEYS
    assert seal_keys(KEYS, PASSPHRASE, OsEntropy(), CHEAP) != DATA


def test_files_of_a_passphrase_share_one_run_and_no_key():
    passphrase = Passphrase("correct horse")
    one, two = (seal_keys(KEYS, passphrase, OsEntropy(), CHEAP) for _ in range(2))
    assert len(passphrase.roots) == 1
    first, second = cbor.decode(one[BODY:]), cbor.decode(two[BODY:])
    assert first[3] == second[3]
    for place in (4, 5, 6):  # file salt, commitment to the file's key, ciphertext
        assert first[place] != second[place]
    assert open_keys(two, Passphrase("correct horse")) == KEYS
    assert cbor.decode(seal_keys(KEYS, Passphrase("correct horse"), OsEntropy(), CHEAP)[BODY:])[3] != first[3]


def test_another_cost_is_another_run():
    passphrase = Passphrase("correct horse")
    for cost in (CHEAP, Cost(memory_kib=16, iterations=1, lanes=1)):
        seal_keys(KEYS, passphrase, OsEntropy(), cost)
    assert len({salt for _, salt in passphrase.roots}) == 2


def test_roots_open_what_the_passphrase_does():
    passphrase = Passphrase("correct horse")
    data = seal_keys(KEYS, passphrase, OsEntropy(), CHEAP)
    handed_on = Passphrase("", roots_from_bytes(roots_to_bytes(passphrase)))
    assert open_keys(data, handed_on) == KEYS
    assert "correct" not in repr(passphrase)
    with pytest.raises(Misuse):
        roots_from_bytes(b"\x81\x01")


@pytest.mark.parametrize("passphrase", ["correct horsf", "", "correct horse "])
def test_another_passphrase_is_refused(passphrase):
    with pytest.raises(WrongPassphrase):
        open_keys(DATA, Passphrase(passphrase))


def test_a_passphrase_is_its_characters_not_their_encoding():
    composed = unicodedata.normalize("NFC", "Schlüsselwörter")
    data = seal_keys(KEYS, Passphrase(composed), OsEntropy(), CHEAP)
    assert open_keys(data, Passphrase(unicodedata.normalize("NFD", composed))) == KEYS


def test_a_short_passphrase_is_refused():
    with pytest.raises(WeakPassphrase):
        seal_keys(KEYS, Passphrase("1234567"), OsEntropy(), CHEAP)


def test_every_changed_byte_and_every_cut_is_called_damage():
    for position in range(len(DATA)):
        spoiled = DATA[:position] + bytes([DATA[position] ^ 1]) + DATA[position + 1 :]
        with pytest.raises(KeyFileDamaged):
            open_keys(spoiled, PASSPHRASE)
        with pytest.raises(KeyFileDamaged):
            open_keys(DATA[:position], PASSPHRASE)
    with pytest.raises(KeyFileDamaged):
        open_keys(DATA + b"\x00", PASSPHRASE)


def test_a_deliberate_change_with_a_right_checksum_is_refused_as_well():
    ciphertext = cbor.decode(DATA[BODY:])[6]
    with pytest.raises(KeyFileDamaged):  # body
        open_keys(altered(6, ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])), PASSPHRASE)
    with pytest.raises(WrongPassphrase):  # file salt: another key again
        open_keys(altered(4, bytes(32)), PASSPHRASE)
    with pytest.raises(WrongPassphrase):  # salt: another key, which the commitment tells
        open_keys(altered(3, bytes(16)), PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        open_keys(altered(5, bytes(32)), PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        open_keys(altered(1, 2), PASSPHRASE)


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, 1 << 40), (0, 7), (0, -1), (1, 0), (1, 1 << 30), (2, 0), (2, 1 << 20), (3, b""), (4, b""), (0, b""), (6, 1)],
)
def test_a_hostile_header_costs_nothing(position, value):
    with pytest.raises(KeyFileDamaged):
        open_keys(altered(position, value), PASSPHRASE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        bytes(100),
        with_checksum(b""),
        with_checksum(b"\x80"),
        with_checksum(b"\xff"),
        with_checksum(b"\x01"),
    ],
)
def test_other_bytes_are_damage(data):
    with pytest.raises(KeyFileDamaged):
        open_keys(data, PASSPHRASE)


def test_a_file_has_a_largest_size():
    with pytest.raises(KeyFileDamaged):
        open_keys(DATA + bytes(MAX_FILE_BYTES), PASSPHRASE)
    many = {f"key {number}": KEYS["identity"] for number in range(2000)}
    with pytest.raises(Misuse):
        seal_keys(many, PASSPHRASE, OsEntropy(), CHEAP)


def test_a_stored_key_is_a_seed_for_a_known_suite():
    for role, suite_id in ((KeyRole.IDENTITY, 17), (KeyRole.SEALING, 2), (KeyRole.ACCOUNT, 99)):
        with pytest.raises(UnknownSuite):
            StoredKey(role, suite_id, SecretBytes(SECRET))
    with pytest.raises(Misuse):
        StoredKey(KeyRole.ACCOUNT, 1, SecretBytes(SECRET[:-1]))


def test_neither_file_nor_text_shows_a_seed():
    assert SECRET[:8] not in DATA
    assert SECRET[:4].hex() not in repr(KEYS)
    assert repr(SECRET)[2:10] not in repr(KEYS)


@pytest.mark.parametrize(
    "cost", [{"memory_kib": 7, "lanes": 1}, {"memory_kib": 1 << 21}, {"lanes": 0}, {"iterations": 65}]
)
def test_costs_have_bounds(cost):
    with pytest.raises(Misuse):
        Cost(**cost)
