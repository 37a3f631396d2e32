"""A host's key file through rotations: made before they are needed, erased when nothing needs them (P5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.host.keyring import KeyRing
from lockgate.machine.accounts import account_id
from lockgate.machine.identity import KeyRecord, verify_records
from lockgate.machine.transaction import SUITE_ED25519
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet, inception, open_keys
from lockgate.node.keystores import open_keystore
from lockgate.node.reserve import identities


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    return Folder(tmp_path)


def test_P5_a_rotation_follows_from_the_keys_committed_before(folder: Folder) -> None:
    """[P5] The next record verifies from the inception record on, and is the same when asked for again."""
    first, signed = inception(open_keys(folder, "h"))
    cabinet = Cabinet(folder, "h")
    second = cabinet.next_record(first)
    assert cabinet.next_record(first).body == second.body
    assert Cabinet(folder, "h").next_record(first).body == second.body, "the keys were on disk before it was handed out"
    chain = verify_records(first.endpoint_id, [signed, second])
    third = cabinet.next_record(chain[-1])
    chain = verify_records(first.endpoint_id, [signed, second, third])
    assert [record.index for record in chain] == [0, 1, 2]
    assert len({record.sealing.public_key for record in chain}) == 3
    assert len({record.accounts for record in chain}) == 3


def test_a_ring_opens_with_what_is_still_held(folder: Folder) -> None:
    chain, cabinet = rotated(folder)
    ring = cabinet.ring(chain)
    assert (ring.record, [older.record.index for older in ring.older]) == (chain[1], [0])
    assert ring.account is not None
    assert chain[1].accounts == (account_id(SUITE_ED25519, ring.account.public_key),)
    assert ring.signer.key == chain[1].identity


def test_old_keys_are_gone_from_the_file(folder: Folder) -> None:
    chain, cabinet = rotated(folder)
    cabinet.settled(chain[1])
    with pytest.raises(KeyError):
        cabinet.ring(chain[:1])
    assert older(Cabinet(folder, "h").ring(chain)) == [0], "sealing keys stay until nothing can need them"
    cabinet.forget(1)
    assert older(Cabinet(folder, "h").ring(chain)) == []


def rotated(folder: Folder) -> tuple[tuple[KeyRecord, ...], Cabinet]:
    first, signed = inception(open_keys(folder, "h"))
    cabinet = Cabinet(folder, "h")
    return verify_records(first.endpoint_id, [signed, cabinet.next_record(first)]), cabinet


def older(ring: KeyRing) -> list[int]:
    return [opener.record.index for opener in ring.older]


def test_S61_the_next_sealing_key_may_be_of_another_suite(folder: Folder) -> None:
    first, signed = inception(open_keys(folder, "h"))
    second = Cabinet(folder, "h").next_record(first, 18)
    assert Cabinet(folder, "h").next_record(first, 18).body == second.body
    chain = verify_records(first.endpoint_id, [signed, second])
    assert [record.sealing.suite for record in chain] == [17, 18]
    ring = Cabinet(folder, "h").ring(chain)
    assert ring.current.sealing.public_key == chain[-1].sealing.public_key


@pytest.mark.parametrize("wins", [17, 18])
def test_S61_a_key_that_was_made_of_a_suite_that_ended_holds_no_other_up(folder: Folder, wins: int) -> None:
    """Which one counts says the record that is proven: either may have been posted."""
    first, signed = inception(open_keys(folder, "h"))
    offered = {suite: Cabinet(folder, "h").next_record(first, suite) for suite in (17, 18)}
    chain = verify_records(first.endpoint_id, [signed, offered[wins]])
    assert chain[-1].sealing.suite == wins
    cabinet = Cabinet(folder, "h")
    cabinet.settled(chain[1])
    assert cabinet.ring(chain).current.sealing.public_key == chain[-1].sealing.public_key
    third = cabinet.next_record(chain[-1])
    chain = verify_records(first.endpoint_id, [signed, offered[wins], third])
    assert chain[-1].sealing.suite == wins
    assert older(cabinet.ring(chain)) == [1, 0]
    cabinet.forget(2)
    assert older(cabinet.ring(chain)) == []
    kept = [name for name in open_keystore(folder, folder.host("h"), {}).kinds() if name.startswith("sealing")]
    assert kept == ["sealing-2"], "the one that was never used is gone, too"


def names(folder: Folder) -> list[str]:
    return identities(open_keystore(folder, folder.host("h"), {}))


def test_S61_an_identity_of_another_suite_is_committed_to_first_and_comes_with_the_rotation_after(
    folder: Folder,
) -> None:
    first, signed = inception(open_keys(folder, "h"))
    cabinet = Cabinet(folder, "h")
    second = cabinet.next_record(first, signing=3)
    chain = verify_records(first.endpoint_id, [signed, second])
    third = cabinet.next_record(chain[-1])
    chain = verify_records(first.endpoint_id, [signed, second, third])
    fourth = cabinet.next_record(chain[-1])
    chain = verify_records(first.endpoint_id, [signed, second, third, fourth])
    assert [record.identity.suite for record in chain] == [2, 2, 3, 3], "it stays with the suite that was asked for"
    cabinet.settled(chain[-1])
    assert cabinet.ring(chain).signer.key == chain[-1].identity
    assert names(folder) == ["identity-3", "identity-4"]


@pytest.mark.parametrize("wins", [2, 3])
def test_S61_of_two_identities_after_the_next_the_one_that_was_committed_to_stays(folder: Folder, wins: int) -> None:
    first, signed = inception(open_keys(folder, "h"))
    offered = {suite: Cabinet(folder, "h").next_record(first, signing=suite) for suite in (2, 3)}
    assert names(folder) == ["identity-0", "identity-1", "identity-2", "identity-2-3"]
    chain = verify_records(first.endpoint_id, [signed, offered[wins]])
    cabinet = Cabinet(folder, "h")
    cabinet.settled(chain[1])
    assert names(folder) == ["identity-1", {2: "identity-2", 3: "identity-2-3"}[wins]]
    third = cabinet.next_record(chain[1])
    chain = verify_records(first.endpoint_id, [signed, offered[wins], third])
    assert chain[-1].identity.suite == wins
    cabinet.settled(chain[-1])
    assert cabinet.ring(chain).signer.key == chain[-1].identity
