"""Hands the contract of a lane over to its next signing set: signed by the present quorum, carried by a relayer.

`chains/NAME/rotation.json` holds a rotation that is signed and not carried yet, `set.json` the newest that was carried.
The signatures are no secret: whoever has them can carry them, and nothing else can be done with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from lockgate.hosting.work import Report
from lockgate.lightclients.evm_attestation import Binding, Signed, SigningSet
from lockgate.node import relay_record
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.foreign import sets
from lockgate.node.foreign.evm import NotDeployedYet, deployed, host_of, open_chain, open_nodes, opened
from lockgate.node.foreign.records import AccountInUse, NoLaneThere, lane_of, relay_name
from lockgate.node.foreign.spec import EvmSpec
from lockgate.node.signer_sets import BadSignerSet
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.evm_attestors import EvmAttestors, SocketAttestor
from lockgate.relay.evm_rotation import SignedRotation, carry, collect

PAUSE_S: Final = 2.0
SIGNED: Final = "rotation.json"
CARRIED: Final = "set.json"
Row = dict[str, Any]


def present(folder: Folder, spec: EvmSpec) -> tuple[int, SigningSet]:
    """The newest set that the folder knows of: the contract keeps no operators. Raises NotDeployedYet."""
    with contextlib.suppress(NotInitialised):
        return sets.read(read_json(folder.chain(spec.name) / CARRIED))
    found = deployed(folder, spec).get("set")
    if found is None:
        raise NotDeployedYet("no signing set is recorded", chain=spec.name)
    return sets.read(found)


def next_set(folder: Folder, spec: EvmSpec, days: int) -> Row:
    """The present set as the next one, with another end: for an operator to edit, and all to accept."""
    epoch, signing = present(folder, spec)
    expires = UnixSeconds(int(time.time()) + days * sets.DAY_S)
    return sets.to_json(epoch + 1, replace(signing, expires=expires))


async def rotate(folder: Folder, spec: EvmSpec, given: Any, report: Report) -> Row:
    """Have the present quorum sign, and carry it here unless the running relayer does.

    Raises BadSignerSet, NoLaneThere, NotTheNextSet, TooFewEvmAttestors, and why the contract refuses it.
    """
    epoch, following = sets.read(given)
    lane, host = lane_of(folder, spec.name), host_of(folder, spec)
    if not lane.get("far_client"):
        raise NoLaneThere(chain=spec.name)
    record = relay_record.read(folder.relay(relay_name(spec.ledger, spec.name)))
    addresses = relay_record.attestors(record, spec.name)
    node = open_nodes(spec, report)
    try:
        chain = open_chain(node, spec, host, report)
        contract: AttestedContract = (await chain.client(ClientId(lane["far_client"]))).state
        source = bytes.fromhex(str(deployed(folder, spec)["ledger_domain"]))
        binding = Binding(
            chain_id=spec.network, contract=contract.address, client_id=str(lane["far_client"]), source=source
        )
        attestors = EvmAttestors([SocketAttestor(each) for each in addresses], report)
        signed = await collect(contract, binding, epoch, following, attestors)
    finally:
        await node.close()
    write_json(folder.chain(spec.name) / SIGNED, _to_json(signed))
    try:
        async with opened(folder, spec, host, report) as account:
            await carry(account, contract.address, signed)
            _carried(folder, spec, signed)
    except AccountInUse:
        return {"epoch": epoch, "signers": len(signed.signatures), "carried": "by the running relayer, in a moment"}
    return {"epoch": epoch, "signers": len(signed.signatures), "carried": "now"}


def carrying(folder: Folder, spec: EvmSpec, account: EvmAccount, there: EndPoint, report: Report) -> Callable[[], Any]:
    """A step beside the relaying: brings a rotation that is signed to the contract, once."""

    async def step() -> None:
        await asyncio.sleep(PAUSE_S)
        path = folder.chain(spec.name) / SIGNED
        try:
            signed = _read(read_json(path))
        except NotInitialised:
            return
        contract: AttestedContract = (await account.chain.client(there.client)).state
        if signed.epoch == contract.epoch:
            await carry(account, contract.address, signed)
        elif signed.epoch + 1 != contract.epoch or not _is(contract, signed):
            path.unlink()  # of a set that is long gone, or that the quorum gave up for another one
            report("rotation_dropped", {"chain": account.chain.chain_id, "client": there.client, "epoch": signed.epoch})
            return
        report("rotated", {"chain": account.chain.chain_id, "client": there.client, "epoch": signed.epoch + 1})
        _carried(folder, spec, signed)
        await there.refresh()

    return step


def _is(contract: AttestedContract, signed: SignedRotation) -> bool:
    """Whether the contract has this very set: somebody may have carried another one of its epoch."""
    following = signed.following
    members = [(one.signer, one.weight) for one in following.members]
    needed = following.threshold, following.operators, following.expires
    return members == [(one.signer, one.weight) for one in contract.members] and needed == (
        contract.threshold,
        contract.operators,
        contract.expires,
    )


def _carried(folder: Folder, spec: EvmSpec, signed: SignedRotation) -> None:
    home = folder.chain(spec.name)
    write_json(home / CARRIED, sets.to_json(signed.epoch + 1, signed.following))
    (home / SIGNED).unlink(missing_ok=True)


def _to_json(signed: SignedRotation) -> Row:
    signatures = [{"position": one.position, "r": one.r.hex(), "vs": one.vs.hex()} for one in signed.signatures]
    return {"set": sets.to_json(signed.epoch + 1, signed.following), "signatures": signatures}


def _read(value: Row) -> SignedRotation:
    """Raises BadSignerSet."""
    try:
        epoch, following = sets.read(value["set"])
        signatures = tuple(
            Signed(int(one["position"]), bytes.fromhex(one["r"]), bytes.fromhex(one["vs"]))
            for one in value["signatures"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadSignerSet("no signed rotation", file=SIGNED) from error
    return SignedRotation(epoch - 1, following, signatures)


__all__ = ("carrying", "next_set", "present", "rotate")
