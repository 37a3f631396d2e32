"""Where a ledger listens, and which keys it is made with."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.node import ledger
from lockgate.node.folder import SUITE_ED25519, Folder
from lockgate.node.keystores import open_keystore
from lockgate.node.ledger import LEDGER_KEYS, OlderLedger
from lockgate.node.ports import PortBusy, listen


def test_answers_leave_at_once() -> None:
    async def nodelay() -> int:
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen(0)
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            found = await asked
            writer.close()
        return found

    assert asyncio.run(nodelay()), "Nagle's delay would cost 40 ms a call"


def test_a_busy_port_is_named() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy) as refusal:
            listen(port)
    assert refusal.value.fields["port"] == port


def test_P16_I2_a_new_ledgers_authority_is_hybrid_and_neither_signs_blocks_nor_pays(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    genesis = ledger.create(folder, "alpha", "alpha-1")
    keys = ledger.ledger_keys(folder, "alpha")
    (authority,) = genesis.authority
    assert authority.suite == SIGN_ED25519_MLDSA65.id
    assert authority == ledger.authority_signer(keys).key
    others = {genesis.validators[0].public_key, keys.signer("operator").public_key}
    assert len(others) == 2
    assert others.isdisjoint(authority.parts)
    assert ledger.create(folder, "alpha", "alpha-1") == genesis


def test_a_ledger_of_an_earlier_build_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    earlier = {"validator": LEDGER_KEYS["validator"], "authority": (KeyRole.ACCOUNT, SUITE_ED25519)}
    path = folder.ledger("alpha") / "keys"
    open_keystore(folder, path.parent, earlier)
    before = path.read_bytes()
    genesis = path.with_name("genesis.cbor")
    genesis.write_bytes(b"of that build")
    for opening in (
        lambda: ledger.create(folder, "alpha", "alpha-1"),
        lambda: ledger.open_chain(folder, "alpha", durable=False, accept_clock=False),
    ):
        with pytest.raises(OlderLedger) as refusal:
            opening()
        assert refusal.value.fields["ledger"] == "alpha"
    assert (path.read_bytes(), genesis.read_bytes()) == (before, b"of that build")
    assert sorted(item.name for item in path.parent.iterdir()) == ["genesis.cbor", "keys", "keystore.json"]
