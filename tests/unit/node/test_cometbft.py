"""Clusters on CometBFT: the binary that is taken, the homes that are written, and what is refused by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.node import cometbft, ledger, leftover, ports, validator
from lockgate.node.cometbft import (
    BadCluster,
    NoCometBft,
    Node,
    NodeEnded,
    configured,
    create,
    find_binary,
    nodes_of,
    processes_of,
    version_of,
)
from lockgate.node.engine import OtherEngine
from lockgate.node.folder import DiskFull, Folder, NotInitialised
from lockgate.node.ports import PortBusy, free_ports, listen
from lockgate.node.spec import BadConfig, LedgerSpec, Spec, read_spec
from lockgate.storage.ledger import LedgerStore, StoreInUse
from tests.support.lab import START

BUILD_INFO = b"\x00path\tx\nmod\tgithub.com/cometbft/cometbft\t%s\th1:abc=\n\x00"


def binary(folder: Path, version: bytes) -> Path:
    path = folder / "cometbft"
    path.write_bytes(b"\x7fELF" + BUILD_INFO % version)
    path.chmod(0o700)
    return path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without CometBFT; programs put into the folder are found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("lockgate.node.cometbft_binary.sys.prefix", str(tmp_path / "venv"))
    return tmp_path


def test_the_version_is_what_the_binary_records_of_itself(tmp_path: Path) -> None:
    assert version_of(binary(tmp_path, b"v0.38.26")) == "v0.38.26"
    (tmp_path / "other").write_bytes(b"#!/bin/sh\n")
    assert version_of(tmp_path / "other") is None


def test_a_binary_of_the_line_is_taken(nowhere: Path) -> None:
    path = binary(nowhere, b"v0.38.9")
    assert find_binary() == path


@pytest.mark.parametrize("version", [b"v0.37.4", b"v1.0.1", b"v0.39.0"])
def test_another_line_is_refused_with_the_command_that_installs_ours(nowhere: Path, version: bytes) -> None:
    binary(nowhere, version)
    with pytest.raises(NoCometBft) as refused:
        find_binary()
    assert refused.value.fields["version"] == version.decode()
    assert cometbft.INSTALL in NoCometBft.next_step


def test_without_cometbft_nothing_is_written(nowhere: Path) -> None:
    folder = Folder(nowhere / "data")
    with pytest.raises(NoCometBft):
        create(folder, "alpha", "alpha-1", 4)
    assert not (nowhere / "data").exists()


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_cluster_has_one_validator_or_four_and_more(tmp_path: Path, count: int) -> None:
    with pytest.raises(BadCluster):
        create(Folder(tmp_path / "data"), "alpha", "alpha-1", count)
    assert not (tmp_path / "data").exists()


def test_a_ledger_keeps_its_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "of the test")
    folder = Folder(tmp_path / "data")
    genesis = ledger.create(folder, "alpha", "alpha-1").to_bytes()
    with pytest.raises(OtherEngine, match="embedded"):
        create(folder, "alpha", "alpha-1", 4)
    assert (folder.ledger("alpha") / "genesis.cbor").read_bytes() == genesis
    folder.ledger("beta").mkdir()
    (folder.ledger("beta") / "cluster.json").write_text("{}")
    with pytest.raises(OtherEngine, match="CometBFT"):
        ledger.create(folder, "beta", "beta-1")
    assert not (folder.ledger("beta") / "keys").exists()


def test_peers_are_reached_through_the_links_that_are_given(tmp_path: Path) -> None:
    nodes = [Node(index, tmp_path / str(index), 100 + index, 200 + index) for index in range(3)]
    (nodes[0].home / "config").mkdir(parents=True)
    (nodes[0].home / "config" / "config.toml").write_text(
        '[p2p]\npersistent_peers = "aa@127.0.0.1:201,bb@127.0.0.1:202,cc@192.0.2.1:203"\n'
    )
    assert validator._peers(nodes[0], nodes, {1: 301, 2: 302}) == "aa@127.0.0.1:301,bb@127.0.0.1:302,cc@192.0.2.1:203"


@pytest.mark.parametrize("text", ["", "[]", '{"node": "x"}'])
def test_a_record_of_processes_that_does_not_read_is_none(tmp_path: Path, text: str) -> None:
    node = Node(0, tmp_path, 1, 2)
    assert processes_of(node) == {}
    (tmp_path / "process.json").write_text(text)
    assert processes_of(node) == {}


def test_settings_are_changed_in_their_section_only() -> None:
    text = 'laddr = "top"\n[rpc]\nladdr = "a"\nother = 1\n[p2p]\nladdr = "b"\n'
    changed = configured(text, {("rpc", "laddr"): '"x"'})
    assert changed == 'laddr = "top"\n[rpc]\nladdr = "x"\nother = 1\n[p2p]\nladdr = "b"\n'


def test_a_configuration_that_lacks_a_setting_is_another_versions() -> None:
    with pytest.raises(NoCometBft) as refused:
        configured("[rpc]\n", {("rpc", "laddr"): '"x"'})
    assert refused.value.fields["lacks"] == "rpc.laddr"


@pytest.mark.parametrize("text", ["{}", '{"nodes": []}', '{"nodes": [{"rpc": 1}]}', '{"nodes": 3}'])
def test_a_damaged_record_of_a_cluster_is_named(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path)
    folder.ledger("alpha").mkdir(parents=True)
    (folder.ledger("alpha") / "cluster.json").write_text(text)
    with pytest.raises(NotInitialised):
        nodes_of(folder, "alpha")


def test_a_deployment_names_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    on_cometbft = '[[ledger]]\nname = "alpha"\nchain_id = "alpha-1"\nengine = "cometbft"\n'
    path.write_text(on_cometbft + '[[ledger]]\nname = "beta"\nchain_id = "beta-1"\n')
    assert [ledger.engine for ledger in read_spec(path).ledgers] == ["cometbft", "embedded"]
    with pytest.raises(BadConfig):
        Spec(ledgers=(LedgerSpec("alpha", "alpha-1", engine="raft"), LedgerSpec("beta", "beta-1")))


def ending_at_once(folder: Folder, where: Path, rpc: int, p2p: int) -> Path:
    """A ledger whose node ends without a word; returns its home."""
    info = BUILD_INFO.replace(b"\x00", b"").replace(b"\n", b" ") % b"v0.38.26"
    binary(where, b"v0.38.26").write_bytes(b"#!/bin/sh\n# " + info + b"\nexit 1\n")
    home = folder.ledger("alpha")
    (home / "validators" / "0").mkdir(parents=True)
    (home / "cluster.json").write_text(json.dumps({"nodes": [{"rpc": rpc, "p2p": p2p}]}))
    (home / "genesis.cbor").write_bytes(LabLedger("alpha-1", SimulatedClock(START)).genesis.to_bytes())
    return home


def test_a_node_that_ends_at_once_is_named_and_nothing_stays(nowhere: Path) -> None:
    """The application's socket and the record of the processes go with it."""
    folder = Folder(nowhere / "data")
    home = ending_at_once(folder, nowhere, *free_ports(2))
    with pytest.raises(NodeEnded):
        asyncio.run(validator.run(folder, "alpha", 0, lambda *_: None))
    assert not (home / "validators" / "0" / "process.json").exists()
    assert not (home / "address.json").exists()
    with pytest.raises(NotInitialised):
        asyncio.run(validator.run(folder, "alpha", 1, lambda *_: None))


@pytest.mark.parametrize("which", [0, 1], ids=["rpc", "p2p"])
def test_a_port_that_another_program_has_is_named(nowhere: Path, which: int) -> None:
    folder, kept = Folder(nowhere / "data"), free_ports(2)
    home = ending_at_once(folder, nowhere, *kept)
    at_once = asyncio.wait_for  # and not when a call to who listens there, and does not answer, has taken its time
    with listen(kept[which]), pytest.raises(PortBusy) as busy:
        asyncio.run(at_once(validator.run(folder, "alpha", 0, lambda *_: None), 5))
    assert busy.value.fields["port"] == kept[which]
    assert not (home / "validators" / "0" / "process.json").exists()


def test_a_node_that_outlives_its_application_is_ended_at_the_next_start(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then one never finishes stopping; it would have its files and ports for ever."""
    monkeypatch.setattr(leftover, "ENDS_S", 0.2)
    folder = Folder(nowhere / "data")
    home = ending_at_once(folder, nowhere, *free_ports(2)) / "validators" / "0"
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(home)])
    (home / "process.json").write_text(json.dumps({"application": 0, "node": left.pid}))
    with pytest.raises(NodeEnded, match="at once"):
        asyncio.run(validator.run(folder, "alpha", 0, lambda *_: None))
    assert left.wait(timeout=10) < 0


def test_a_start_beside_a_running_application_ends_no_node(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftover, "ENDS_S", 0.0)
    folder = Folder(nowhere / "data")
    home = ending_at_once(folder, nowhere, *free_ports(2)) / "validators" / "0"
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(home)])
    (home / "process.json").write_text(json.dumps({"application": 0, "node": running.pid}))
    store = LedgerStore.open(home / "application.sqlite")
    try:
        with pytest.raises(StoreInUse):
            asyncio.run(validator.run(folder, "alpha", 0, lambda *_: None))
        assert running.poll() is None
    finally:
        store.close()
        running.kill()
        running.wait(timeout=10)


def test_ports_that_are_kept_are_no_two_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    few = free_ports(4)
    monkeypatch.setattr(ports, "KEPT_PORTS", few)
    assert sorted(free_ports(4)) == sorted(few)
    with pytest.raises(PortBusy):
        free_ports(5)


def test_a_node_that_joins_takes_no_port_of_one_that_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    few = free_ports(4)
    monkeypatch.setattr(ports, "KEPT_PORTS", few)
    assert sorted(cometbft._apart_from([Node(0, Path(), few[0], few[1])])) == sorted(few[2:])


def test_a_link_is_never_at_a_port_that_a_node_keeps() -> None:
    """Links listen before the nodes do, so a port they shared would be found out too late."""
    assert not {*ports.KEPT_PORTS} & {*ports.START_PORTS}
    with ports.free_listener() as listener:
        assert listener.getsockname()[1] in ports.START_PORTS


def standing(folder: Folder, where: Path) -> Path:
    """A ledger whose node runs on whatever it is told, and notes its process id; returns where."""
    info = BUILD_INFO.replace(b"\x00", b"").replace(b"\n", b" ") % b"v0.38.26"
    noted = where / "pid"
    script = b"trap '' TERM\necho $$ > %s\nwhile :; do /bin/sleep 0.05; done\n" % bytes(noted)
    binary(where, b"v0.38.26").write_bytes(b"#!/bin/sh\n# " + info + b"\n" + script)
    home = folder.ledger("alpha")
    (home / "validators" / "0").mkdir(parents=True)
    (home / "cluster.json").write_text('{"nodes": [{"rpc": 1, "p2p": 2}]}')
    (home / "genesis.cbor").write_bytes(LabLedger("alpha-1", SimulatedClock(START)).genesis.to_bytes())
    return noted


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("how", ["told once", "told twice", "no record"])
def test_no_node_outlives_its_application(nowhere: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """One that does not listen is killed: at once where whoever ends it does not wait any more."""
    monkeypatch.setattr(validator, "STOP_S", 0.2 if how == "told once" else 30.0)
    folder = Folder(nowhere / "data")
    noted = standing(folder, nowhere)

    async def work() -> None:
        running = asyncio.create_task(validator.run(folder, "alpha", 0, lambda *_: None))
        async with asyncio.timeout(20):
            while not noted.exists() or not noted.read_text():
                await asyncio.sleep(0.01)
            running.cancel()
            if how == "told twice":
                await asyncio.sleep(0.1)
                running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    if how == "no record":

        def full(path: Path, _: object) -> None:
            while not noted.exists() or not noted.read_text():
                time.sleep(0.01)
            monkeypatch.setattr(validator, "STOP_S", 0.2)
            raise DiskFull("no space", path=str(path))

        monkeypatch.setattr(validator, "write_json", full)
        with pytest.raises(DiskFull):
            asyncio.run(asyncio.wait_for(validator.run(folder, "alpha", 0, lambda *_: None), 20))
    else:
        asyncio.run(work())
    assert not (folder.ledger("alpha") / "validators" / "0" / "process.json").exists()
    ends = time.monotonic() + 5
    while not gone(int(noted.read_text())):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_command_that_does_not_end_is_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cometbft, "COMMAND_S", 0.2)
    noted = standing(Folder(nowhere / "data"), nowhere)
    with pytest.raises(NodeEnded, match="does not end"):
        cometbft._command(nowhere / "cometbft", "init")
    assert gone(int(noted.read_text()))
