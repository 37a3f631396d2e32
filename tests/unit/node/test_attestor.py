"""An attestor as a process of a folder: made, accepted into a set, run, asked over its sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.courier.attesting import Attest, Attested, NotAttested
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.hosting.attestor import UnknownSet
from lockgate.hosting.config import LedgerRef
from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.errors import SignersRefused
from lockgate.node import attestor, signer_sets
from lockgate.node.attestor import BadAttestor
from lockgate.node.folder import Folder, NotInitialised, write_json
from lockgate.node.relay import attested_by, attestor_rows
from lockgate.node.signer_sets import BadSignerSet
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.attestors import Attestor
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.storage.attested import AttestedStateBroken
from tests.support.attesters import signer_set
from tests.support.attestors import fingerprint
from tests.support.proxy import served
from tests.support.relays import Pair

NAMES = ("one", "two", "three")


def silent(kind: str, fields: dict[str, object]) -> None: ...


def made(folder: Folder, ref: LedgerRef, *, threshold: int = 2, **changes: Any) -> SignerSet:
    """Three attestors of a ledger, and their set, which each has accepted."""
    members = []
    for name in NAMES:
        attestor.create(folder, name, ref)
        members.append(attestor.member(folder, name, f"operator {name}", f"node of {name}"))
    signers = signer_sets.compose(1, threshold, [replace(each, **changes) for each in members])
    for name in NAMES:
        attestor.accept(folder, name, signers)
    return signers


def test_it_runs_over_a_node_and_signs_with_its_hybrid_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.05)
        # An attestor judges by the clock of its machine; the ledgers of the lab go by one of their own.
        monkeypatch.setattr("lockgate.node.clock.time.time_ns", pair.clock.now)
        folder = Folder(tmp_path)
        async with pair.running(), served(pair) as node:
            ref = replace(fingerprint(pair.a.ledger), sources=(node,))
            signers = made(folder, ref, until=UnixNanos(pair.clock.now() + 10**9 * NANOS_PER_SECOND // 10**6))
            ready = asyncio.Event()
            running = asyncio.create_task(
                attestor.run(folder, "one", lambda kind, fields: ready.set() if kind == "ready" else None)
            )
            try:
                async with asyncio.timeout(20):
                    waiting = asyncio.create_task(ready.wait())
                    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
                assert ready.is_set(), running
                asked = Attestor(attestor.address(folder, "one"))
                height = pair.a.ledger.at(pair.a.ledger.height)
                answer = await asked.ask(Attest(signers.hash, height))
                assert isinstance(answer, Attested), answer
                key = signers.by_hash[answer.key_hash].key
                assert key.suite == SIGN_ED25519_MLDSA65.id
                unknown = await asked.ask(Attest(b"\x01" * 32, height))
                assert isinstance(unknown, NotAttested)
                assert unknown.code == UnknownSet.code
                (one, *others) = await attestor.status(folder)
                shown = {row["attestor"].split("/")[-2]: row["state"].split(":")[0] for row in (one, *others)}
                assert shown == {"one": "attests", "three": "silent", "two": "silent"}
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        assert not (folder.attestor("one") / attestor.SOCKET).exists()
        record = json.loads((folder.attestor("one") / "attestor.json").read_text())
        assert record["ledger"]["height"] > ref.height, "a later start goes on from what was verified"
        folder.said("one").unlink()
        with pytest.raises(AttestedStateBroken):
            await attestor.run(folder, "one", silent)

    asyncio.run(work())


@pytest.fixture
def ref() -> LedgerRef:
    return fingerprint(Pair.make().a.ledger)


def test_it_accepts_no_set_without_its_key_or_that_nobody_may_rest_on(tmp_path: Path, ref: LedgerRef) -> None:
    folder = Folder(tmp_path)
    signers = made(folder, ref)
    assert [each.hash for each in attestor.accepted(folder, "one")] == [signers.hash]
    with pytest.raises(SignersRefused):
        attestor.accept(folder, "one", replace_threshold(signers, 1))
    attestor.create(folder, "four", ref)
    with pytest.raises(BadAttestor):
        attestor.accept(folder, "four", signers)
    with pytest.raises(NotInitialised):
        attestor.accept(folder, "five", signers)
    assert attestor.accepted(folder, "four") == []


def replace_threshold(signers: SignerSet, threshold: int) -> SignerSet:
    return signer_sets.compose(signers.epoch, threshold, list(signers.signers))


def test_making_one_again_keeps_its_key_and_its_record(tmp_path: Path, ref: LedgerRef) -> None:
    folder = Folder(tmp_path)
    first = attestor.create(folder, "one", ref).key.hash
    said = folder.said("one").stat().st_ino
    assert attestor.create(folder, "one", ref).key.hash == first
    assert folder.said("one").stat().st_ino == said


@pytest.mark.parametrize(
    "listen",
    ["tcp:0.0.0.0:9000", "tcp:192.0.2.1:9000", "folder:/tmp", "link+tcp:127.0.0.1:9000", "udp:1", "tcp:localhost:1"],
)
def test_it_listens_on_this_machine_alone(tmp_path: Path, ref: LedgerRef, listen: str) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(BadAttestor):
        attestor.create(folder, "one", ref, listen=(listen,))
    assert not (folder.attestor("one") / "attestor.json").exists()


@pytest.mark.parametrize("spoilt", [{"ledger": {}}, {}, {"ledger": 7}])
def test_a_record_of_another_shape_starts_nothing(tmp_path: Path, ref: LedgerRef, spoilt: dict[str, Any]) -> None:
    folder = Folder(tmp_path)
    attestor.create(folder, "one", ref)
    write_json(folder.attestor("one") / "attestor.json", spoilt)
    with pytest.raises(BadAttestor):
        asyncio.run(attestor.run(folder, "one", silent))


def test_a_signer_set_is_read_as_it_was_written() -> None:
    signers = signer_set(4, 3)
    assert signer_sets.read_set(json.loads(json.dumps(signer_sets.to_json(signers)))) == signers


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value.pop("epoch"),
        lambda value: value.update(more=1),
        lambda value: value.update(threshold="many"),
        lambda value: value["signers"][0].pop("operator"),
        lambda value: value["signers"][0].update(key=[99, "00"]),
        lambda value: value["signers"][0].update(key=[1, "zz"]),
        lambda value: value["signers"][0].update(key=[]),
        lambda value: value["signers"][0].update(until="2027-01-01T00:00:00"),
        lambda value: value["signers"][0].update(until="soon"),
        lambda value: value.update(signers=[3]),
    ],
)
def test_what_is_no_signer_set_is_refused(spoil: Any) -> None:
    value = signer_sets.to_json(signer_set(3, 2))
    spoil(value)
    with pytest.raises(BadSignerSet):
        signer_sets.read_set(value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for content in ("[" * 100_000, "{", "x" * 300_000):
        (tmp_path / "set.json").write_text(content)
        with pytest.raises(BadSignerSet):
            signer_sets.read_file(tmp_path / "set.json")
    with pytest.raises(BadSignerSet):
        signer_sets.read_file(tmp_path / "other.json")


def test_the_command_composes_a_set_and_has_it_accepted(tmp_path: Path, ref: LedgerRef) -> None:
    folder = Folder(tmp_path / "data")
    files = []
    for name in NAMES:
        attestor.create(folder, name, ref)
        shown = attestor.shown(folder, name, attestor.member(folder, name, f"operator {name}", f"node {name}"))
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(shown))
    call = CliRunner().invoke
    composed = call(app, ["attestor", "compose", *map(str, files), "--threshold", "2"])
    assert composed.exit_code == 0, composed.output
    (tmp_path / "set.json").write_text(composed.output)
    done = call(app, ["--data", str(folder.root), "--json", "attestor", "accept", "one", str(tmp_path / "set.json")])
    assert done.exit_code == 0, done.output
    assert [each.hash.hex() for each in attestor.accepted(folder, "one")] == [json.loads(done.output)["accepted"]]
    refused = call(app, ["attestor", "compose", *map(str, files), "--threshold", "1"])
    assert refused.exit_code != 0
    asked = call(app, ["--data", str(folder.root), "--json", "attestor", "status"])
    assert {row["state"].split(":")[0] for row in json.loads(asked.output)} == {"silent"}


def test_a_relays_record_names_attestors_by_ledger(tmp_path: Path) -> None:
    chain = CometBftChain(Pair.make().rpc(Pair.make().a), "alpha-1")
    record = {"attestors": {"alpha": ["unix:/run/one.sock", "tcp:127.0.0.1:9000", "tcp:[::1]:9000"]}}
    found = attested_by(record, "alpha", chain, silent)
    assert list(found) == ["attested"]
    health = found["attested"].health()
    assert health is not None
    rows = attestor_rows("alpha", dict(health))
    assert rows[0] == ["attestors of alpha", "0 of 3 sign"]
    assert attested_by(record, "beta", chain, silent) == attested_by({}, "alpha", chain, silent) == {}
    for bad in (["unix:"], ["http://x"], "unix:/x", [7], ["tcp:host:1"]):
        with pytest.raises(NotInitialised):
            attested_by({"attestors": {"alpha": bad}}, "alpha", chain, silent)
    with pytest.raises(NotInitialised):
        attested_by({"attestors": []}, "alpha", chain, silent)
