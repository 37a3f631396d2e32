"""Rotating the keys of a host that does not run, as one that a thief of its account has fenced off (P5, P8).

A rotation is signed by identities, and who brings it to the ledger does not matter: any account of the folder does.
So what ends with a rotation can be ended although the host cannot start. It takes its keys up when it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from lockgate.crypto.ports import Signer
from lockgate.hosting.config import HostConfig
from lockgate.hosting.peers import prove_records
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.rotation import ROTATED
from lockgate.hosting.suites import check_rotation
from lockgate.keystore.opening import KEY_FILE
from lockgate.machine.errors import EndpointRevoked
from lockgate.machine.identity import KeyRecord
from lockgate.machine.transaction import Message
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.identity import Cabinet
from lockgate.node.keystores import Party
from lockgate.node.ledger import operator
from lockgate.node.provision import OPERATOR_LANE, RELAY_KEYS, LedgerAccess, SetupFailed
from lockgate.node.sources import Nodes, open_ledger
from lockgate.node.wallet import Wallet
from lockgate.primitives.ids import EndpointId, Hash32
from lockgate.relay.submitter import ANY_PRICE
from lockgate.storage.host import HostStore


async def rotate(folder: Folder, party: Party, sealing: int = 0, signing: int = 0) -> dict[str, Any]:
    """Make a stopped host's next key record current; answers as the host would.

    Raises StoreInUse where it runs after all, EndpointRevoked, SuiteNotActive, SetupFailed, and what the keystore, the
    reserve and proving raise.
    """
    config = load_config(party.home / "endpoint.json")
    ref = config.local
    with closing(HostStore.open(party.home / "host.sqlite")) as store, closing(Cabinet(folder, party.name)) as cabinet:
        chain = await open_ledger(folder, ref.name, Nodes(ref.sources, ref.required), _unheard)
        try:
            reader = ProvenReader(chain, ref.follower(), SystemClock())
            record = (await _proven(reader, config))[-1]
            await check_rotation(reader, record, sealing, signing)
            signed = cabinet.next_record(record, sealing, signing)
            _note(store, reader)  # before it may stand: the host keeps the old sealing key from here on
            message = ("endpoint.rotate", {"record": signed.to_bytes()})
            done = await _bring(folder, config, reader, cabinet.account(record.index), message)
            await chain.header_at_least(done + 1)
            record = (await _proven(reader, config))[-1]
            _note(store, reader)
        finally:
            await chain.rpc.close()
        cabinet.settled(record)
    return {"index": record.index, "record": record.hash.hex()}


async def _proven(reader: ProvenReader, config: HostConfig) -> tuple[KeyRecord, ...]:
    endpoint = EndpointId(Hash32(bytes.fromhex(config.endpoint)))
    records, revoked_at, _ = await prove_records(reader, endpoint)
    if revoked_at:
        raise EndpointRevoked("this endpoint is revoked", endpoint=endpoint, height=revoked_at)
    return records


def _note(store: HostStore, reader: ProvenReader) -> None:
    with store.commit(durable=True):
        store.set_meta(ROTATED, int(reader.newest.header.time).to_bytes(8, "big"))


async def _bring(folder: Folder, config: HostConfig, reader: ProvenReader, own: Signer, message: Message) -> int:
    """Submit by the first account that the ledger takes it from; returns the height. Raises SetupFailed."""
    name = config.local.name
    price = ANY_PRICE if (folder.ledger(name) / KEY_FILE).exists() else config.max_gas_price
    refused: SetupFailed | None = None
    for signer in _accounts(folder, name, own):
        access = await LedgerAccess.over(name, reader.chain, signer, OPERATOR_LANE, price)
        try:
            return (await access.do(message)).height.height
        except SetupFailed as error:  # it may have no balance there
            refused = error
    assert refused is not None, "the host's own account is one of them"
    raise refused


def _accounts(folder: Folder, ledger: str, own: Signer) -> Iterator[Signer | Wallet]:
    """The ledger's operator, relayers, and the host's own account last: who stole it may have spent its balance."""
    if (folder.ledger(ledger) / KEY_FILE).exists():
        yield operator(folder, ledger)
    for name in folder.names("relays"):
        if (folder.relay(name) / KEY_FILE).exists():
            yield Wallet(folder, folder.relay(name), RELAY_KEYS, "account")
    yield own


def _unheard(kind: str, fields: dict[str, object]) -> None:
    """What nodes do not agree on is raised; alarms are the running host's to tell."""


__all__ = ("rotate",)
