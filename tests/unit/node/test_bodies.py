"""A received body written to a file: whole, private, never over another."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.envelope.bulk import BulkNotice
from lockgate.envelope.errors import FileUnreadable
from lockgate.host.sealing import schema_ref
from lockgate.keystore.software import OsEntropy
from lockgate.node.api.errors import BodyErased
from lockgate.node.api.values import ended
from lockgate.node.bodies import BodyRemoved, NoMessage, body_json, drop_body
from lockgate.node.bulk import FileExists, save_body
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.storage.archive import Archive
from lockgate.storage.host import HostStore, Seen
from tests.support.blobs import DESCRIPTOR_OF_BODY, bodies_in

COMMITMENT = bytes(range(32))


def row(sequence: int, body: bytes, commitment: bytes = COMMITMENT) -> Seen:
    return Seen(
        domain=bytes(32), client="07-tendermint-0", sequence=sequence, commitment=commitment,
        peer="ann", state="answered", body=body,
    )  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Any:
    store = HostStore.in_memory()
    notice = BulkNotice(schema_ref("bytes@1.0"), DESCRIPTOR_OF_BODY.length, DESCRIPTOR_OF_BODY.root)
    with store.commit():
        store.note(row(1, notice.encode()))
        store.note(row(2, b"short", bytes(32)))
    bodies = bodies_in(tmp_path / "bodies")
    (bodies.folder / COMMITMENT.hex()).write_bytes(b"the large body")
    bulk = SimpleNamespace(bodies=bodies, drop=lambda commitment: bodies.remove(commitment.hex()))
    return SimpleNamespace(store=store, bulk=bulk)


@pytest.mark.parametrize(("sequence", "body"), [(1, b"the large body"), (2, b"short")])
def test_a_body_is_saved_whole_and_private(host: Any, tmp_path: Path, sequence: int, body: bytes) -> None:
    target = tmp_path / "out"
    found = body_json(host, "07-tendermint-0", sequence)
    assert save_body(found, target) == len(body)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (body, 0o600)
    with pytest.raises(FileExists):
        save_body(found, target)
    assert sorted(os.listdir(tmp_path)) == ["bodies", "out"]


def test_saving_a_body_overwrites_no_file_beside_it(host: Any, tmp_path: Path) -> None:
    kept = tmp_path / "out.part"
    kept.write_bytes(b"somebody's own")
    with pytest.raises(FileExists, match=r"out\.part"):
        save_body(body_json(host, "07-tendermint-0", 1), tmp_path / "out")
    assert kept.read_bytes() == b"somebody's own"
    assert sorted(os.listdir(tmp_path)) == ["bodies", "out.part"]


def test_a_place_that_cannot_be_written_is_named(host: Any, tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        save_body(body_json(host, "07-tendermint-0", 1), tmp_path / "no" / "folder")


def test_a_removed_body_is_not_mistaken_for_its_notice(host: Any) -> None:
    drop_body(host, "07-tendermint-0", 1)
    with pytest.raises(BodyRemoved):
        body_json(host, "07-tendermint-0", 1)
    drop_body(host, "07-tendermint-0", 2)
    assert bytes.fromhex(body_json(host, "07-tendermint-0", 2)["body"]) == b"short"


def test_an_unknown_packet_is_refused(host: Any) -> None:
    with pytest.raises(NoMessage):
        body_json(host, "07-tendermint-0", 3)


def test_an_erased_body_is_not_mistaken_for_an_empty_one(tmp_path: Path) -> None:
    store = HostStore.open(tmp_path / "host.sqlite", Archive.open(tmp_path, 0, OsEntropy()))
    with store.commit():
        store.note(row(1, b""))
    host: Any = SimpleNamespace(store=store, bulk=None)
    assert body_json(host, "07-tendermint-0", 1)["body"] == ""
    for second in (1, 3):
        store.age(UnixNanos(seconds(second)), set)
    with pytest.raises(BodyErased):
        body_json(host, "07-tendermint-0", 1)
    store.close()


def test_the_reply_of_a_message_that_ended_long_ago_is_no_empty_reply() -> None:
    said = {
        "packet": "alpha/07-tendermint-0/1", "to": "ann", "state": "acknowledged", "ref": "00", "body": "",
        "reply": None, "code": None, "reason": None, "detail": None, "erased": True,
    }  # fmt: skip
    with pytest.raises(BodyErased):
        ended(said).result()
