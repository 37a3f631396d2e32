"""`lockgate keys` on a folder that nothing runs in: made, listed, shown, exported, brought in; never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.keystore import opening
from lockgate.keystore.file import read_key_file
from lockgate.keystore.software import OsEntropy
from lockgate.keystore.stretch import Passphrase
from lockgate.lab.device import LabDevice
from lockgate.machine.identity import KeyRecord
from lockgate.node import validator_keys
from lockgate.node.folder import Folder, write_json
from lockgate.node.identity import Cabinet, inception, open_keys

PASSPHRASE = "a long enough passphrase"
TOKEN = "pkcs11:token=t?module-path=/nowhere/token.so&pin-source=file:/nowhere/pin"
REFUSED, USAGE = 3, 2


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setattr(opening, "DEFAULT_COST", opening.RANDOM_COST)  # stretching has its own tests
    return tmp_path / "data"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> LabDevice:
    device = LabDevice(OsEntropy())
    monkeypatch.setattr(opening, "Pkcs11Token", lambda _: device)
    return device


def tool(data: Path, *arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--data", str(data), "--json", *arguments])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if done.stdout else None


def refused(data: Path, *arguments: str) -> str:
    return str(tool(data, *arguments, code=REFUSED)["error"]["code"])


@pytest.mark.parametrize(
    ("party", "keys"),
    [
        ("host/alice", ["account", "identity-0", "identity-1", "sealing-0"]),
        ("ledger/alpha", ["authority", "operator", "validator"]),
        ("relay/alpha-beta", ["account"]),
        ("attestor/one", ["attester"]),
    ],
)
def test_keys_of_every_kind_of_party_are_made_listed_and_shown(data: Path, party: str, keys: list[str]) -> None:
    made = tool(data, "keys", "new", party)
    assert sorted(made["keys"]) == keys
    assert made == tool(data, "keys", "show", party)
    rows = tool(data, "keys", "list")
    assert [(row["party"], row["key"]) for row in rows] == [(party, key) for key in keys]
    assert {row["key"]: row["key_id"] for row in rows} == {name: key["key_id"] for name, key in made["keys"].items()}
    assert tool(data, "keys", "list", party) == rows
    before = (data / f"{party.replace('/', 's/')}" / "keys").read_bytes()
    assert refused(data, "keys", "new", party) == "keystore.file_exists"
    assert (data / f"{party.replace('/', 's/')}" / "keys").read_bytes() == before


def test_no_secret_is_printed(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    seeds = [key.seed.reveal() for key in read_key_file(data / "hosts/alice/keys", Passphrase(PASSPHRASE)).values()]
    for verb in ("list", "show", "export-public"):
        for form in ([], ["--json"]):
            done = CliRunner().invoke(app, ["--data", str(data), *form, "keys", verb, "host/alice"])
            assert done.exit_code == 0
            for seed in seeds:
                assert seed.hex() not in done.output
    assert all(seed.hex() not in (data / "hosts/alice/keystore.json").read_text() for seed in seeds)


def test_P22_a_place_is_chosen_and_said(data: Path, device: LabDevice) -> None:
    """[P22]"""
    made = tool(data, "keys", "new", "host/alice", "--keystore", TOKEN)
    assert made["place"] == TOKEN
    assert [half["where"] for half in made["keys"]["identity-0"]["halves"]] == ["lab", "file"]
    (label,) = [label for label in device.labels() if "/identity-0/" in label]
    device.generate("alice/forgotten", "Ed25519")
    assert tool(data, "keys", "show", "host/alice")["unnamed_in_device"] == ["alice/forgotten"]
    device.erase(label)
    assert refused(data, "keys", "show", "host/alice") == "keystore.device_key_missing"
    assert tool(data, "keys", "list", "host/alice"), "the list opens nothing"


def test_public_keys_are_exported_whole(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    found = tool(data, "keys", "export-public", "host/alice")
    sizes = {name: {a: len(k) // 2 for a, k in key["public_keys"].items()} for name, key in found["keys"].items()}
    assert sizes["identity-0"] == {"Ed25519": 32, "ML-DSA-65": 1952}
    assert sizes["sealing-0"] == {"ML-KEM-768": 1184, "X25519": 32}
    one = tool(data, "keys", "export-public", "host/alice", "account")
    assert list(one["keys"]) == ["account"]
    assert refused(data, "keys", "export-public", "host/alice", "nobody") == "keys.no_such_key"


def test_a_key_file_is_brought_in(data: Path, tmp_path: Path) -> None:
    made = tool(data, "keys", "new", "host/alice")
    file, other = data / "hosts/alice/keys", tmp_path / "other"
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(PASSPHRASE + "\n")
    CliRunner(env={"LOCKGATE_PASSPHRASE": "quite another one"}).invoke(app, ["version"])
    argument = ["keys", "import", "host/bob", str(file), "--passphrase-file", str(passphrase)]
    done = CliRunner(env={"LOCKGATE_PASSPHRASE": "quite another one"}).invoke(
        app, ["--data", str(other), "--json", *argument]
    )
    assert done.exit_code == 0, done.output
    brought = json.loads(done.stdout)
    assert {n: k["key_id"] for n, k in brought["keys"].items()} == {n: k["key_id"] for n, k in made["keys"].items()}
    assert read_key_file(other / "hosts/bob/keys", Passphrase("quite another one"))
    again = CliRunner(env={"LOCKGATE_PASSPHRASE": "quite another one"}).invoke(
        app, ["--data", str(other), "--json", *argument]
    )
    assert json.loads(again.stdout)["error"]["code"] == "keystore.file_exists"


def test_only_what_fits_is_brought_in(data: Path, tmp_path: Path, device: LabDevice) -> None:
    tool(data, "keys", "new", "host/alice")
    tool(data, "keys", "new", "host/carol", "--keystore", TOKEN)
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(PASSPHRASE)
    by = ["--passphrase-file", str(passphrase)]
    alice, carol = (str(data / "hosts" / name / "keys") for name in ("alice", "carol"))
    assert refused(data, "keys", "import", "relay/r", alice, *by) == "keys.no_such_party"
    assert refused(data, "keys", "import", "host/new", carol, *by) == "keystore.other_place"
    passphrase.write_text("a wrong passphrase")
    assert refused(data, "keys", "import", "host/new", alice, *by) == "keystore.wrong_passphrase"
    passphrase.chmod(0o644)
    assert refused(data, "keys", "import", "host/new", alice, *by) == "keystore.pin_unreadable"
    assert not (data / "hosts/new").exists()
    assert not (data / "relays/r").exists()


def test_keys_that_have_rotated_come_back_to_their_host_and_make_no_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", PASSPHRASE)
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(PASSPHRASE)
    first, _ = inception(open_keys(Folder(data), "alice"))
    cabinet = Cabinet(Folder(data), "alice")
    cabinet.settled(KeyRecord.from_body(cabinet.next_record(first).body))
    argument = ["keys", "import", "host/new", str(data / "hosts/alice/keys"), "--passphrase-file", str(passphrase)]
    assert refused(data, *argument) == "keys.not_first"
    assert not (data / "hosts/new").exists()
    write_json(data / "hosts/new/endpoint.json", {"endpoint": "of alice"})
    assert "identity-2" in tool(data, *argument)["keys"]


@pytest.mark.parametrize(
    "party", ["alice", "host/", "/alice", "host/..", "host/a/b", "tree/alice", "host/nobody", "host/.x"]
)
def test_a_party_that_is_none_is_named(data: Path, party: str) -> None:
    tool(data, "keys", "new", "host/alice")
    for verb in ("show", "export-public", "rotate", "schedule"):
        assert refused(data, "keys", verb, party) == "keys.no_such_party"


@pytest.mark.parametrize(
    ("party", "verbs"),
    [
        ("ledger/alpha", ["revoke"]),
        ("relay/r", ["revoke"]),
        ("attestor/one", ["rotate", "revoke", "schedule", "exposure"]),
    ],
)
def test_kinds_that_a_verb_does_not_cover_say_what_does(data: Path, party: str, verbs: list[str]) -> None:
    tool(data, "keys", "new", party)
    for verb in verbs:
        options = ["--yes"] if verb == "revoke" else []
        error = tool(data, "keys", verb, *options, party, code=REFUSED)["error"]
        assert error["code"] == "keys.not_covered"
        assert party in str(error["fields"])
        assert error["detail"]


def test_accounts_have_a_schedule_and_rotate_where_their_ledgers_run(data: Path) -> None:
    tool(data, "keys", "new", "relay/r")
    assert tool(data, "keys", "schedule", "relay/r")["every_s"] == 0
    assert tool(data, "keys", "schedule", "relay/r", "--every", "2 h")["every_s"] == 7_200
    assert refused(data, "keys", "schedule", "relay/r", "--every", "59 h 1") == "keys.bad_schedule"
    assert refused(data, "keys", "schedule", "relay/r", "sealing", "--every", "2 h") == "keys.no_such_key"
    found = tool(data, "keys", "schedule", "relay/r", "account")
    assert (found["key"], found["every_s"], found["last_rotation"]) == ("account", 7_200, None)
    assert refused(data, "keys", "rotate", "relay/r") == "node.not_initialised"
    (row,) = tool(data, "keys", "list", "relay/r")
    assert row["next_rotation"] == found["next_rotation"]
    assert {each["stolen"] for each in tool(data, "keys", "exposure", "relay/r")["exposures"]} == {
        "the key file and its passphrase", "the account's key",
    }  # fmt: skip
    tool(data, "keys", "new", "ledger/alpha")
    assert refused(data, "keys", "rotate", "ledger/alpha") == "keys.no_such_key", "it has several"
    for key in ("operator", "authority"):
        assert tool(data, "keys", "rotate", "ledger/alpha", key, code=5)["error"]["code"] == "node.not_running"
        tool(data, "keys", "schedule", "ledger/alpha", key, "--every", "90 d")
    due = {row["key"]: row["next_rotation"] for row in tool(data, "keys", "list", "ledger/alpha")}
    assert due["validator"] is None
    assert due["operator"]
    assert due["authority"]
    exposed = tool(data, "keys", "exposure", "ledger/alpha")
    assert set(exposed["standing"]) == {"operator", "authority", "validator"}
    assert len(exposed["exposures"]) == 4


def test_a_schedule_is_set_shown_and_ended(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    assert tool(data, "keys", "schedule", "host/alice") == {
        "party": "host/alice", "every_s": 0, "last_rotation": None, "next_rotation": None,
    }  # fmt: skip
    found = tool(data, "keys", "schedule", "host/alice", "--every", "30 d")
    assert found["every_s"] == 30 * 86_400
    assert found == tool(data, "keys", "schedule", "host/alice")
    assert refused(data, "keys", "schedule", "host/alice", "--every", "1 h") == "keys.bad_schedule"
    assert found == tool(data, "keys", "schedule", "host/alice")
    assert tool(data, "keys", "schedule", "host/alice", "--every", "never")["next_rotation"] is None


def test_a_revocation_is_asked_about(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    done = CliRunner().invoke(app, ["--data", str(data), "keys", "revoke", "host/alice"], input="n\n")
    assert done.exit_code == 1


def test_a_host_that_does_not_run_rotates_nothing(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    before = (data / "hosts/alice/keys").read_bytes()
    assert tool(data, "keys", "rotate", "host/alice", code=5)["error"]["code"] == "node.not_running"
    assert (data / "hosts/alice/keys").read_bytes() == before


def test_a_host_without_an_endpoint_exposes_none(data: Path) -> None:
    tool(data, "keys", "new", "host/alice")
    assert refused(data, "keys", "exposure", "host/alice") == "node.not_initialised"


def test_a_file_from_before_there_was_a_record_is_listed(data: Path) -> None:
    tool(data, "keys", "new", "relay/r")
    (data / "relays/r/keystore.json").unlink()
    (row,) = tool(data, "keys", "list")
    assert (row["party"], row["key"]) == ("relay/r", "")
    assert list(tool(data, "keys", "show", "relay/r")["keys"]) == ["account"]
    assert Folder(data).names("relays") == ["r"]


def test_S86_the_list_says_what_stands_on_one_family_alone(data: Path) -> None:
    for party in ("host/alice", "ledger/alpha", "relay/r", "attestor/one"):
        tool(data, "keys", "new", party)
    both, alone = ["elliptic", "lattice"], ["elliptic"]
    found = {(row["role"], tuple(row["families"])) for row in tool(data, "keys", "list")}
    hybrid, classical = ("identity", "sealing", "authority", "attester"), ("account", "validator")
    assert found == {*((role, tuple(both)) for role in hybrid), *((role, tuple(alone)) for role in classical)}


def test_validators_of_a_cluster_are_listed_with_the_keys_of_their_nodes(data: Path) -> None:
    tool(data, "keys", "new", "ledger/alpha")
    home = Folder(data).ledger("alpha")
    write_json(home / "cluster.json", {"nodes": [{"rpc": 1, "p2p": 2}, {"rpc": 3, "p2p": 4}]})
    for number in range(2):
        validator_keys.prepare(home / "validators" / str(number))
        validator_keys.follow(home / "validators" / str(number))
    rows = rows_of(data)
    assert [*rows] == ["authority", "operator", "validator 0", "validator 1"]
    assert rows["validator 0"]["key_id"] != rows["validator 1"]["key_id"]
    assert rows["validator 0"]["families"] == ["elliptic"]
    tool(data, "keys", "schedule", "ledger/alpha", "validator", "--every", "30 d")
    assert all(row["next_rotation"] for name, row in rows_of(data).items() if name.startswith("validator"))


def rows_of(data: Path) -> dict[str, Any]:
    return {row["key"]: row for row in tool(data, "keys", "list", "ledger/alpha")}
