"""How an operator names a validator: by its node's number, or by its key."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from lockgate.node.folder import Folder, write_json
from lockgate.node.validators import NoSuchValidator, named

KEYS = [bytes([number]) * 32 for number in (1, 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A cluster of two nodes, as far as their names go."""
    folder = Folder(tmp_path)
    home = folder.ledger("alpha")
    write_json(home / "cluster.json", {"nodes": [{"rpc": 1, "p2p": 2}, {"rpc": 3, "p2p": 4}]})
    for number, key in enumerate(KEYS):
        path = home / "validators" / str(number) / "config" / "priv_validator_key.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"pub_key": {"value": b64encode(key).decode()}}))
    return folder


def test_a_number_hex_and_base64_name_a_validator(folder: Folder) -> None:
    stranger = bytes(range(32))
    assert named(folder, "alpha", "1") == KEYS[1]
    assert named(folder, "alpha", KEYS[0].hex()) == KEYS[0]
    assert named(folder, "alpha", b64encode(stranger).decode()) == stranger


@pytest.mark.parametrize("name", ["2", "-1", "", "0x01", "ab" * 31, "ab" * 33, b64encode(bytes(31)).decode(), "é"])
def test_what_names_no_validator_is_refused(folder: Folder, name: str) -> None:
    with pytest.raises(NoSuchValidator):
        named(folder, "alpha", name)
    with pytest.raises(NoSuchValidator):
        named(folder, "beta", "0")  # an embedded ledger has no numbered nodes
