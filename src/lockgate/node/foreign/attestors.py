"""Runs one attestor of a lane to an EVM: it watches the chain and the ledger, and signs for the clients on each (B5).

```
<data>/attestors/NAME/attestor.json    `chain` beside `ledger`: the chain it watches through nodes of its own
<data>/attestors/NAME/contracts/*.json contracts that its operator has accepted: {"network", "contract", "client"}
<data>/attestors/NAME/evm-sets/*.json  signing sets that he accepted to hand over to
<data>/signers/attestor-NAME.said, attestor-NAME.ledger.said   what it has signed of the chain, and of the ledger
```
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lockgate.courier.attesting import Answer, Request
from lockgate.courier.evm_attesting import EvmAttest, EvmHandOver
from lockgate.hosting.attestor import Watched
from lockgate.hosting.config import LedgerRef
from lockgate.hosting.evm_attestor import Contract, EvmAttestorService, StatementSigner
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.work import Report
from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.evm_attestation import SigningSet
from lockgate.lightclients.evm_storage import domain_of
from lockgate.node import attestor, signer_sets
from lockgate.node.clock import SystemClock
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.foreign import sets
from lockgate.node.foreign.evm import host_of, open_chain, open_nodes
from lockgate.node.foreign.keys import attester_key
from lockgate.node.foreign.spec import EvmSpec, kept_evm
from lockgate.node.patience import patiently
from lockgate.node.signer_sets import BadSignerSet
from lockgate.node.sources import Nodes, open_ledger
from lockgate.storage.attested import AttestedState

EPOCH = 1


def chain_of(folder: Folder, name: str) -> str | None:
    """The chain that an attestor watches; none for one of a ledger alone. Raises NotInitialised."""
    found = read_json(folder.attestor(name) / "attestor.json").get("chain")
    return None if found is None else str(found)


def create(folder: Folder, name: str, spec: EvmSpec, ref: LedgerRef, listen: tuple[str, ...] = ()) -> None:
    """Make an attestor of a chain and of the ledger at the lane's other end, where there is none."""
    host = host_of(folder, spec)
    attestor.own_signer(folder, name)
    attester_key(folder, name)
    path = folder.attestor(name) / "attestor.json"
    if path.exists():
        return
    for said, domain in (
        (folder.said(name), domain_of(spec.network, host)),
        (folder.said(f"{name}.ledger"), bytes.fromhex(ref.domain)),
    ):
        with contextlib.suppress(FileExistsError):
            AttestedState.create(said, domain)
    record = {"ledger": asdict(ref), "chain": spec.name, "depth": 0, "listen": list(listen)}
    write_json(path, record)


def company(folder: Folder, spec: EvmSpec, ref: LedgerRef) -> SignerSet:
    """The attestors that a deployment makes for a lane, and the set by which the ledger's client believes them."""
    names = sets.names_of(spec)
    for name in names:
        create(folder, name, spec, ref)
    known = {each.hash: each for name in names for each in attestor.accepted(folder, name) if each.epoch == EPOCH}
    if known:
        return next(iter(known.values()))
    members = [
        attestor.member(folder, name, f"deployment attestor {name}", f"nodes of {name}", days=spec.set_days)
        for name in names
    ]
    made = signer_sets.compose(EPOCH, spec.quorum, members)
    for name in names:
        attestor.accept(folder, name, made)
    return made


def accept_contract(folder: Folder, name: str, contract: Contract) -> Path:
    """Have an attestor sign for a contract. It may run."""
    network, address, client = contract
    path = folder.attestor(name) / "contracts" / f"{network}-{address.hex()}.json"
    write_json(path, {"network": network, "contract": "0x" + address.hex(), "client": client})
    return path


def accept_set(folder: Folder, name: str, epoch: int, signing: SigningSet) -> Path:
    """Have an attestor hand contracts over to a set. It may run."""
    path = folder.attestor(name) / "evm-sets" / f"{epoch}.json"
    write_json(path, sets.to_json(epoch, signing))
    return path


def contracts(folder: Folder, name: str) -> Iterator[Contract]:
    """Contracts that were accepted; a file that does not read is nobody's word."""
    for value in _files(folder.attestor(name) / "contracts"):
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            yield int(value["network"]), bytes.fromhex(str(value["contract"]).removeprefix("0x")), str(value["client"])


def following(folder: Folder, name: str) -> Iterator[tuple[int, SigningSet]]:
    """Sets that were accepted to hand over to."""
    for value in _files(folder.attestor(name) / "evm-sets"):
        with contextlib.suppress(BadSignerSet):
            yield sets.read(value)


def _files(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(BadSignerSet):
            yield signer_sets.read_file(path)


async def run(folder: Folder, name: str, report: Report, more: dict[str, Nodes] | None = None) -> None:
    """Attest both sides of a lane until cancelled. Raises as `node.attestor.run`."""
    watched = chain_of(folder, name)
    if watched is None:
        raise NotInitialised("the attestor watches no chain", attestor=name)
    home, ref, spec = folder.attestor(name), attestor.watched_ledger(folder, name), kept_evm(folder, watched)
    host = host_of(folder, spec)
    domain, source = domain_of(spec.network, host), bytes.fromhex(ref.domain)
    said = AttestedState.open(folder.said(name), domain)
    said_of_ledger = AttestedState.open(folder.said(f"{name}.ledger"), source)
    node = open_nodes(spec, report)
    rpcs: list[Any] = [node]
    clock = SystemClock()
    try:
        further = (more or {}).get(ref.name, Nodes())
        nodes = Nodes(ref.sources, ref.required).with_more(further.further, further.required)
        ours = await patiently(partial(open_ledger, folder, ref.name, nodes, report, ref.chain_id), report)
        rpcs.append(ours.rpc)
        reader = ProvenReader(ours, ref.follower(), clock)
        await patiently(reader.latest, report)
        chain = open_chain(node, spec, host, report)
        signer = attestor.own_signer(folder, name)
        accepted = partial(attestor.accepted, folder, name)
        by_quorum = EvmAttestorService(Watched(chain.chain_id, domain, 0), chain, signer, said, accepted, clock, report)
        await patiently(by_quorum.check, report)
        statements = StatementSigner(
            name,
            reader,
            attester_key(folder, name),
            said_of_ledger,
            partial(contracts, folder, name),
            source,
            report,
            partial(following, folder, name),
        )

        async def answer(request: Request) -> Answer:
            if isinstance(request, EvmAttest | EvmHandOver):
                return await statements.answer(request)
            return await by_quorum.answer(request)

        about = {"attestor": name, "chain": chain.chain_id, "ledger": ref.chain_id, "pid": os.getpid()}
        await attestor.serve(
            folder, name, answer, partial(report, "ready", about), partial(attestor.anchor, home, ref, reader)
        )
    finally:
        said.close()
        said_of_ledger.close()
        await asyncio.gather(*(rpc.close() for rpc in rpcs), return_exceptions=True)


__all__ = ("accept_contract", "accept_set", "chain_of", "company", "contracts", "create", "following", "run")
