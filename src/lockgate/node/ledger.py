"""Runs one embedded ledger: opens its files, makes blocks, serves its RPC."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.recovery import check_roots, recover
from lockgate.engines.embedded.retention import KEEP, Retention
from lockgate.engines.embedded.roster import LocalValidator
from lockgate.engines.embedded.rpc_methods import Methods
from lockgate.engines.embedded.rpc_server import application
from lockgate.engines.embedded.service import HEARTBEAT_S, LedgerService
from lockgate.keystore.store import Keystore, Wanted
from lockgate.keystore.whole import write_whole
from lockgate.machine import keys as stores
from lockgate.machine.genesis import Genesis, GenesisAccount, GenesisValidator, LedgerClass, Parameters
from lockgate.merkle.multistore import MultiStore
from lockgate.node import applications, collector
from lockgate.node.clock import SystemClock
from lockgate.node.engine import OtherEngine
from lockgate.node.folder import SUITE_ED25519, Folder, NotInitialised, write_json
from lockgate.node.keystores import open_keystore
from lockgate.node.parameters import check_same
from lockgate.node.ports import listen
from lockgate.node.wallet import Wallet
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ChainId
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes
from lockgate.storage.signstate import SignState


class OlderLedger(Refused):
    code = "node.older_ledger"
    summary = "An earlier build made this ledger; its authority is an account, and signs transactions."
    next_step = "Keep the folder for that build, and name another one with --data: a new deployment is made there."


LEDGER_KEYS = {
    "validator": (KeyRole.VALIDATOR, SUITE_ED25519),  # signs blocks
    "authority": (KeyRole.AUTHORITY, SIGN_ED25519_MLDSA65.id),  # signs actions (P16)
    "operator": (KeyRole.ACCOUNT, SUITE_ED25519),  # sets up what is missing, and submits the authority's actions
}


def wanted_keys(keystore: Keystore) -> Wanted:
    """`LEDGER_KEYS`, with the authority's of the suite that the keystore is for."""
    return {**LEDGER_KEYS, "authority": (KeyRole.AUTHORITY, keystore.identity_suite)}


def base_of(name: str) -> str:
    """What a key is for, by its name: `operator` of `operator-3`, the key of its third rotation."""
    base, _, index = name.rpartition("-")
    return base if base and index.isdecimal() else name


def operator(folder: Folder, name: str) -> Wallet:
    """The account that sets a ledger up and submits its authority's actions."""
    return Wallet(folder, folder.ledger(name), wanted_keys, "operator")


def ledger_keys(folder: Folder, name: str) -> Keystore:
    """The keys of a ledger of this folder, made once. Raises OlderLedger."""
    keys = open_keystore(folder, folder.ledger(name), wanted_keys)
    if {base_of(name): kind for name, kind in keys.kinds().items()} != wanted_keys(keys):
        keys.close()
        raise OlderLedger("its key file holds other keys", ledger=name, folder=str(folder.root))
    return keys


def authority_signer(keys: Keystore, index: int = 0) -> IdentitySigner:
    """The authority's hybrid keys, which sign no transaction and no block (P16); those of a rotation by its number."""
    return keys.identity(authority_name(index))


def authority_name(index: int) -> str:
    """What the authority's key of a rotation is called in the file."""
    return f"authority-{index}" if index else "authority"


def validator_name(index: int) -> str:
    """What the signer's key of a hand-over is called in the file."""
    return f"validator-{index}" if index else "validator"


def authority_indices(keys: Keystore) -> list[int]:
    """The rotations of which the file has the authority's keys."""
    return _indices(keys, "authority")


def validator_indices(keys: Keystore) -> list[int]:
    """The hand-overs of which the file has the signer's keys."""
    return _indices(keys, "validator")


def _indices(keys: Keystore, base: str) -> list[int]:
    names = [name.removeprefix(base).removeprefix("-") for name in keys.kinds() if base_of(name) == base]
    return sorted(int(name or 0) for name in names)


def create(
    folder: Folder,
    name: str,
    chain_id: str,
    accounts: tuple[GenesisAccount, ...] = (),
    parameters: Parameters | None = None,
    ports: tuple[str, ...] = (),
) -> Genesis:
    """Make a one-signer ledger's keys and genesis, once; returns the genesis that is there. `ports`: its applications.

    Raises OtherEngine, OtherParameters, OtherApplications.
    """
    path = folder.ledger(name) / "genesis.cbor"
    if (path.parent / "cluster.json").exists():
        raise OtherEngine("it runs on CometBFT", ledger=name, folder=str(folder.root))
    keys = ledger_keys(folder, name)
    applications.fix(path.parent, ports, fresh=not path.exists())
    if path.exists():
        return check_same(Genesis.from_bytes(path.read_bytes()), parameters)
    validator = keys.signer("validator")
    genesis = Genesis(
        chain_id=ChainId(chain_id),
        ledger_class=LedgerClass.OPERATED,
        time=SystemClock().now(),
        validators=(GenesisValidator(validator.public_key, 10),),
        accounts=accounts,
        authority=(authority_signer(keys).key,),
        parameters=parameters or Parameters(),
    )
    write_whole(path, genesis.to_bytes())
    return genesis


def open_chain(folder: Folder, name: str, *, durable: bool, accept_clock: bool) -> tuple[EmbeddedChain, LedgerStore]:
    """Open a ledger's files and check them (I14). Raises what is wrong; then nothing was changed."""
    home = folder.ledger(name)
    path = home / "genesis.cbor"
    if not path.exists():
        raise NotInitialised("no such ledger", name=name, folder=str(folder.root))
    keys = ledger_keys(folder, name)
    genesis = Genesis.from_bytes(path.read_bytes())
    store = LedgerStore.open(home / "ledger.sqlite", durable=durable)
    try:
        signing = [_signing(folder, name, keys, index, fresh=store.tip() is None) for index in validator_indices(keys)]
        nodes = MultiStore(stores.STORES, SqliteNodes(store.connection))
        recover(genesis, store, nodes, [(each.public_key, each.state) for each in signing])
        check_roots(store, nodes)
        chain = EmbeddedChain(
            genesis,
            store,
            nodes,
            signing,
            SystemClock(),
            accept_clock=accept_clock,
            applications=applications.of(home),
            find=partial(_made_since, folder, name),
        )
    except BaseException:
        store.close()
        raise
    return chain, store


def _signing(folder: Folder, name: str, keys: Keystore, index: int, *, fresh: bool) -> LocalValidator:
    """The signer under its key of a hand-over, with what that key has signed. Raises SignStateBroken."""
    signer = keys.signer(validator_name(index))
    # The file of a later key is made before the key is: where it is missing it was lost (P12).
    state = SignState.open(folder.sign_state(name, index), fresh=fresh and not index)
    return LocalValidator(signer.public_key, signer.sign, state)


def _made_since(folder: Folder, name: str, public_key: bytes) -> LocalValidator | None:
    """The key that this running ledger hands over to."""
    keys = ledger_keys(folder, name)
    try:
        for index in validator_indices(keys):
            if keys.signer(validator_name(index)).public_key == public_key:
                return _signing(folder, name, keys, index, fresh=False)
    finally:
        keys.close()
    return None


async def run(
    folder: Folder,
    name: str,
    *,
    port: int = 0,
    heartbeat_s: float = HEARTBEAT_S,
    durable: bool = False,
    accept_clock: bool = False,
    keep: Retention = KEEP,
) -> None:
    """Run until cancelled. The address is recorded in the data folder once the RPC answers."""
    chain, store = open_chain(folder, name, durable=durable, accept_clock=accept_clock)
    (folder.ledger(name) / "address.json").unlink(missing_ok=True)  # of a process that was killed
    try:
        service = LedgerService(chain, heartbeat_s=heartbeat_s, keep=keep)
        listener = listen(port)
        node_id = hashlib.sha256(chain.machine.domain).hexdigest()[:40]
        app = application(Methods(service, node_id=node_id, moniker=name))
        config = uvicorn.Config(app, log_level="error", lifespan="off", access_log=False, ws="websockets-sansio")
        server = _Server(config)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _record(folder.ledger(name), chain, address)
        collector.settle()
        producing = asyncio.create_task(service.run())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            done, _ = await asyncio.wait({producing, serving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            server.should_exit = True
            producing.cancel()
            await asyncio.gather(producing, serving, return_exceptions=True)
    finally:
        (folder.ledger(name) / "address.json").unlink(missing_ok=True)
        store.close()


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs the ledger."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator upstream
        return nullcontext()


def _record(home: Path, chain: EmbeddedChain, address: str) -> None:
    record: dict[str, Any] = {
        "rpc": address,
        "pid": os.getpid(),
        "chain_id": chain.genesis.chain_id,
        "domain": chain.machine.domain.hex(),
    }
    write_json(home / "address.json", record)
