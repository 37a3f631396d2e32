"""One suite for keystores: a file alone, and a file beside each device, hold the same identities alike (P22)."""

from __future__ import annotations

import pytest

from lockgate.crypto import hpke
from lockgate.crypto.errors import BadEncapsulation, BadKey
from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import KeyRole, SealingKey
from lockgate.crypto.signatures import ED25519
from lockgate.keystore.errors import DeviceKeyMissing, DeviceKeyReplaced, OtherKeystore, WrongPassphrase
from lockgate.keystore.ports import SIGNATURES, Kind
from lockgate.keystore.sealed import StoredKey
from lockgate.keystore.software import OsEntropy
from lockgate.keystore.store import Keystore, algorithms_of
from lockgate.keystore.stretch import Cost, Passphrase
from tests.ports.devices import DEVICES

CHEAP = Cost(memory_kib=8, iterations=1, lanes=1)
PASSPHRASE = Passphrase("correct horse")


every_place = pytest.mark.parametrize("reopen", ["file", *DEVICES], indirect=True)
every_device = pytest.mark.parametrize("reopen", DEVICES, indirect=True)


@pytest.fixture
def device(reopen):
    device = reopen()
    yield device
    if device is not None:
        device.close()


@pytest.fixture
def wanted(path, device):
    empty = Keystore(path, PASSPHRASE, device)
    return {
        "account": (KeyRole.ACCOUNT, 1),
        "identity-0": (KeyRole.IDENTITY, empty.identity_suite),
        "identity-1": (KeyRole.IDENTITY, empty.identity_suite),
        "sealing-0": (KeyRole.SEALING, empty.sealing_suite),
        "authority": (KeyRole.AUTHORITY, empty.identity_suite),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "party" / "keys"


@pytest.fixture
def store(path, device, wanted):
    path.parent.mkdir()
    store = Keystore(path, PASSPHRASE, device, cost=CHEAP)
    store.make(wanted)
    return store


def again(path, device):
    store = Keystore(path, PASSPHRASE, device, cost=CHEAP)
    store.read()
    return store


@every_place
def test_an_identity_signs_with_both_halves(store, path, device):
    identity = store.identity("identity-0")
    message = identity.signing_bytes(Purpose.HANDSHAKE, bytes(32), 0, b"m")
    signature = identity.sign(message)
    assert identity.key.signature_suite.post_quantum
    assert identity.key.verify(message, signature)
    for place in (0, len(signature) - 1):  # either half spoiled
        spoiled = bytearray(signature)
        spoiled[place] ^= 1
        assert not identity.key.verify(message, bytes(spoiled))
    assert again(path, device).identity("identity-0").key == identity.key


@every_place
def test_a_sealing_key_opens(store, path, device, wanted):
    suite = wanted["sealing-0"][1]
    holder = again(path, device).sealing("sealing-0")
    public = SealingKey(suite, holder.public_key)
    seal = public.seal_suite.hpke
    enc, sealed = hpke.seal(seal, public.public_key, b"info", OsEntropy(), aad=b"aad", plaintext=b"body")
    assert hpke.open_(seal, enc, holder, b"info", aad=b"aad", ciphertext=sealed) == b"body"
    with pytest.raises(BadEncapsulation):
        holder.decapsulate(enc[:-1])


@every_place
def test_an_account_signs(store, path, device):
    account = store.signer("account")
    assert ED25519.verify(account.public_key, account.sign(b"m"), b"m")
    assert again(path, device).signer("account").public_key == account.public_key


@every_place
def test_roles_are_kept(store):
    assert store.identity("authority").role is KeyRole.AUTHORITY
    assert store.identity("authority").key != store.identity("identity-0").key
    with pytest.raises(BadKey):
        store.signer("identity-0")
    with pytest.raises(KeyError):
        store.identity("nobody")


@every_place
def test_facts_say_where_each_half_lies(store, device, wanted):
    facts = {one.name: one for one in store.facts()}
    assert {name: (one.role, one.suite) for name, one in facts.items()} == wanted == store.kinds()
    for one in facts.values():
        assert tuple(half.algorithm for half in one.halves) == algorithms_of(one.role, one.suite)
        for half in one.halves:
            inside = device is not None and half.algorithm in device.algorithms
            assert half.where is (device.kind if inside else Kind.FILE)
    assert facts["identity-0"].key_id == store.identity("identity-0").key.key_id
    assert facts["sealing-0"].key_id == SealingKey(wanted["sealing-0"][1], store.sealing("sealing-0").public_key).key_id


@every_device
def test_what_the_device_can_hold_is_in_it_and_in_no_file(store, device):
    for one in store.facts():
        for half in one.halves:
            if half.algorithm in device.algorithms:
                assert half.where is not Kind.FILE
    assert len([label for label in device.labels() if label.startswith("party/")]) >= 4


@every_place
def test_making_again_changes_nothing(store, path, wanted):
    before, facts = path.read_bytes(), store.facts()
    store.make(wanted)
    assert (path.read_bytes(), store.facts()) == (before, facts)


@every_place
def test_dropped_keys_are_gone_from_file_and_device(store, path, device):
    labels = set() if device is None else set(device.labels())
    store.drop(["identity-0", "nobody"])
    assert "identity-0" not in store
    assert "identity-0" not in again(path, device)
    assert "identity-1" in store
    if device is not None:
        gone = labels - set(device.labels())
        assert len(gone) == 1
        assert next(iter(gone)).startswith("party/identity-0/")


@every_place
def test_another_passphrase_opens_nothing(store, path, device):
    with pytest.raises(WrongPassphrase):
        Keystore(path, Passphrase("another horse"), device).read()


@every_device
def test_without_its_device_a_file_is_refused(store, path, device):
    with pytest.raises(OtherKeystore):
        again(path, None)


@every_device
def test_a_key_that_left_the_device_is_missed_and_not_made_anew(store, path, device):
    mine = [label for label in device.labels() if label.startswith("party/identity-0/")]
    newest = again(path, device).identity("identity-0").signers[0]
    for label in mine:
        device.erase(label)
    with pytest.raises(DeviceKeyMissing):
        again(path, device).identity("identity-0")
    with pytest.raises(DeviceKeyMissing):
        newest.sign(b"m")
    assert again(path, device).identity("identity-1")


@every_device
def test_a_key_that_was_swapped_in_the_device_is_refused(store, path, device):
    first = store.identity("identity-0").signers[0]
    for label in [label for label in device.labels() if label.startswith("party/identity-0/")]:
        device.erase(label)
        device.generate(label, first.algorithm)
    with pytest.raises(DeviceKeyReplaced):
        again(path, device).identity("identity-0")


@every_place
def test_orphans_are_found(store, device):
    if device is None:
        assert store.orphans("party/") == ()
        return
    algorithm = sorted(device.algorithms & SIGNATURES.keys())[0]
    before = set(store.orphans("party/"))
    device.generate("party/orphan", algorithm)
    assert set(store.orphans("party/")) - before == {"party/orphan"}
    device.erase("party/orphan")


@every_place
def test_nothing_secret_is_shown(store, path):
    shown = repr(store) + repr(store.facts()) + repr(store.identity("identity-0")) + repr(store.sealing("sealing-0"))
    for key in store._keys.values():
        assert isinstance(key, StoredKey)
        assert key.seed.reveal().hex() not in shown
        assert repr(key.seed.reveal())[2:20] not in shown
