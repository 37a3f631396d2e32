"""A recorder that keeps everything, and then is handed every key and every disk, opens nothing that has ended (P18).

The demo's deployment, its hosts told to keep no bodies. The recorder has both ledgers' blocks, in which are all
handshakes and all that relayers brought; a backup and an image of the disks from the middle of the run; and at the end
every folder, with logs, write-ahead logs and free pages, and the passphrase of every keystore. Hosts of the test tell
what keys of sessions they held: with those the same tool opens every message, so that the test can fail.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockgate.codec import cbor
from lockgate.envelope.binding import Role
from lockgate.node.folder import Folder
from lockgate.node.quotes import computed_chain
from lockgate.node.spec import Spec
from lockgate.runtime.wasm import shipped
from tests.support.deployment import Deployment, Party
from tests.support.hoard import SCHEMA_OF_HANDSHAKES, Keys, Recorded, lying, recorded, stolen
from tests.support.telling_host import TELL, told

SPEC = replace(Spec(), hosts=tuple(replace(host, archive=0) for host in Spec().hosts))
QUOTES = 12
CANARIES = [b"canary %d: %s" % (number, os.urandom(24).hex().encode()) for number in range(6)]
UNDER_WAY = CANARIES[3:]  # in the middle of the run, when the disks are copied
SOCKETS = shutil.ignore_patterns("*.sock")


@dataclass(frozen=True)
class Loot:
    """What the thief brought home."""

    backup: Path  # of the middle, by a program that heeds CACHEDIR.TAG
    image: Path  # of the same moment, bit for bit
    end: Path  # the disks at the end
    told: list[Path]  # no thief has those


@pytest.fixture(scope="module")
def loot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loot]:
    if not (shipped.build_folder() / "quote-sender.wasm").exists():
        pytest.skip("the shipped guests are not built; `make install` builds them")
    root = tmp_path_factory.mktemp("recorder")
    found = Loot(root / "backup", root / "image", root / "end", [root / f"told-{n}" for n in ("sender", "solver")])
    asyncio.run(a_run(Deployment(root / "data", SPEC), found))
    yield found
    shutil.rmtree(root, ignore_errors=True)


async def a_run(deployment: Deployment, loot: Loot) -> None:
    await deployment.set_up()
    hosts = [deployment.party("host-sender"), deployment.party("host-solver")]
    for party, file in zip(hosts, loot.told, strict=True):
        party.program = "tests.support.telling_host"
        os.environ[TELL] = str(file)
        party.start()
    del os.environ[TELL]
    try:
        for party in deployment.parties:
            if party not in hosts:
                party.start()
        for party in hosts:
            await party.said("ready")
        quotes = [quote.encode() for quote in computed_chain()[:QUOTES]]
        command = {"send": {"to": "solver", "timeout": 600, "quotes": quotes}}
        await deployment.ask("sender", "command", input=cbor.encode(command).hex())
        for body in CANARIES[:3]:
            await send(deployment, body)
        await forgotten(deployment)
        hosts[1].tell(signal.SIGSTOP)
        for body in UNDER_WAY:
            await send(deployment, body)
        copies(deployment, hosts[:1], loot)
        hosts[1].tell(signal.SIGCONT)
        await forgotten(deployment)
    finally:
        deployment.stop()
    shutil.copytree(deployment.folder.root, loot.end, ignore=SOCKETS)


async def send(deployment: Deployment, body: bytes) -> None:
    await deployment.ask("sender", "send", to="solver", schema="bytes@1.0", body=body.hex(), timeout_s=600)


async def forgotten(deployment: Deployment) -> None:
    """Wait until all has ended, and both hosts have let go of it."""
    async with asyncio.timeout(120):
        await deployment.settled(90)
        while True:
            kept = [
                row
                for host, verb in (("sender", "outbox"), ("solver", "inbox"))
                for row in (await deployment.ask(host, verb))["messages"]
                if not row["erased"]
            ]
            if not kept:
                return
            await asyncio.sleep(0.5)


def copies(deployment: Deployment, running: list[Party], loot: Loot) -> None:
    """A backup and an image, while nothing writes."""
    writers = [*running, *(party for party in deployment.parties if party.name.startswith("ledger"))]
    for party in writers:
        party.tell(signal.SIGSTOP)
    try:
        shutil.copytree(deployment.folder.root, loot.image, ignore=SOCKETS)
        shutil.copytree(deployment.folder.root, loot.backup, ignore=without_caches)
    finally:
        for party in writers:
            party.tell(signal.SIGCONT)


def without_caches(folder: str, names: list[str]) -> set[str]:
    marked = {name for name in names if (Path(folder, name) / "CACHEDIR.TAG").exists()}
    return marked | {name for name in names if name.endswith(".sock")}


@pytest.fixture(scope="module")
def everything(loot: Loot) -> list[Recorded]:
    return recorded(Folder(loot.end))


@pytest.fixture(scope="module")
def contents(loot: Loot, everything: list[Recorded]) -> list[bytes]:
    """What was said, as only those could know who held the keys of sessions in time."""
    keys = Keys(books=[book for file in loot.told for book in told(file)])
    opened = [keys.open_(one) for one in everything if one.in_session]
    assert None not in opened, "the keys of sessions open everything"
    return [content.body for content in opened if content is not None]


def test_the_tool_opens_everything_with_the_keys_as_they_were(
    everything: list[Recorded], contents: list[bytes]
) -> None:
    messages = [one for one in everything if one.in_session and one.role is Role.MESSAGE]
    assert len(messages) == QUOTES + len(CANARIES)
    assert len([one for one in everything if one.in_session]) == 2 * len(messages), "each was answered or refused"
    assert set(CANARIES) < set(contents)


def test_P18_with_every_key_and_every_disk_of_the_end_nothing_opens(loot: Loot, everything: list[Recorded]) -> None:
    keys = stolen(Folder(loot.end))
    assert len(keys.sealing) == len(loot.told)
    for one in everything:
        content = keys.open_(one)
        if one.in_session:
            assert content is None
            assert keys.open_by_strings(one) is None
        else:  # what hosts say to each other to make a session: it opens, and holds no secret and no message
            assert content is not None
            assert content.schema.id in {SCHEMA_OF_HANDSHAKES, "refusal"}


def test_P18_a_backup_of_the_middle_opens_nothing_either(loot: Loot, everything: list[Recorded]) -> None:
    """Not even what was under way when it was made."""
    keys = stolen(Folder(loot.backup))
    keys.strings |= stolen(Folder(loot.end)).strings
    assert [one for one in everything if one.in_session and keys.open_(one) is not None] == []
    assert [one for one in everything if one.in_session and keys.open_by_strings(one) is not None] == []


def test_an_image_with_the_folder_that_is_not_to_be_saved_opens_what_was_under_way(
    loot: Loot, everything: list[Recorded]
) -> None:
    """And its session's next replies, as whoever sits in the host would; nothing of before."""
    keys = stolen(Folder(loot.image))
    opened = {content.body for one in everything if one.in_session and (content := keys.open_(one)) is not None}
    assert set(UNDER_WAY) <= opened
    assert not set(CANARIES[:3]) & opened
    before = [one for one in everything if one.in_session][: QUOTES + 3]
    assert [one for one in before if keys.open_by_strings(one) is not None] == []


def test_P18_no_body_lies_in_any_file(loot: Loot, contents: list[bytes]) -> None:
    """Of the end, and of the backup. Answers to quotes are kept by the sender's guest: its state is its own."""
    words = {body for body in contents if len(body) >= 12}
    assert set(CANARIES) < words
    for root in (loot.end, loot.backup):
        found = lying(root, words)
        assert {path for path, _ in found} <= {"hosts/sender/host.sqlite", "hosts/sender/host.sqlite-wal"}
        assert {word for _, word in found} <= answers_of(contents)
        assert not {word for _, word in found} & set(CANARIES)


def answers_of(contents: list[bytes]) -> set[bytes]:
    return set(contents) - {quote.encode() for quote in computed_chain()[:QUOTES]} - set(CANARIES)


def test_the_search_finds_what_lies_there(loot: Loot) -> None:
    """In each of the forms, in a file like the others."""
    (loot.end / "hosts" / "log").write_bytes(b"x" * 4095 + CANARIES[0].hex().encode())
    assert lying(loot.end / "hosts", CANARIES) == [("log", CANARIES[0])]
    (loot.end / "hosts" / "log").unlink()
