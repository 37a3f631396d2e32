"""What stands on an EVM of the folder, read without any key but the account's address."""

from __future__ import annotations

from typing import Any

from lockgate.codec.errors import Malformed
from lockgate.crypto.recoverable import EvmKey
from lockgate.node.folder import Folder
from lockgate.node.foreign.evm import NO_HOST, balance, code_at, deployed, open_account, open_chain, open_nodes
from lockgate.node.foreign.keys import account_scalar
from lockgate.node.foreign.records import lane_of
from lockgate.node.foreign.spec import EvmSpec
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.journal import Journal
from lockgate.relay.chains.evm.rules import rules_of

Row = dict[str, Any]


async def look(folder: Folder, spec: EvmSpec) -> Row:
    """Nodes, blocks, account, contracts and lane of one chain. Raises BadKeyFile; what does not answer says so."""
    record, lane = deployed(folder, spec), lane_of(folder, spec.name)
    host = spec.host or str(record.get("host", ""))
    node = open_nodes(spec, lambda *_: None)
    chain = open_chain(node, spec, bytes.fromhex(host[2:]) if host else NO_HOST, lambda *_: None)
    account = open_account(folder, spec, chain, lambda *_: None)
    address = EvmKey(account_scalar(folder, spec)).address
    under_way = Journal(folder.chain(spec.name) / "journal.json", spec.network, address).load()
    found: Row = {"chain": spec.name, "network": spec.network, "account": "0x" + address.hex(), "nodes": len(spec.rpc)}
    found |= {"must_agree": spec.agreeing, "one_node_because": spec.one_node_because, "under_way": len(under_way)}
    try:
        final, newest = await chain.heads()
        found |= {"newest": newest.number, "final": final.number, "finality": str(spec.finality)}
        found |= {"base_fee_wei": newest.base_fee, "max_fee_wei": spec.ceiling, "balance_wei": await balance(account)}
        for name in ("host", "attested", "echo"):
            where = host if name == "host" else str(record.get(name, ""))
            there = bool(where) and await code_at(chain, bytes.fromhex(where[2:]))
            found[name] = f"{where}{'' if there else ' (nothing stands there)'}" if where else "not deployed"
        if lane.get("far_client"):
            found |= await _lane(chain, ClientId(lane["client"]), ClientId(lane["far_client"]))
    except LockgateError as failure:
        found["unavailable"] = str(failure)
    finally:
        await account.close()
        await node.close()
    health = chain.health()
    return found if health is None else {**found, "sources": health}


async def _lane(chain: EvmChain, ours: ClientId, theirs: ClientId) -> Row:
    tracked = await chain.client(theirs)
    data = await chain.call(chain.host, interface("host").call("getLane", theirs))
    rules = await rules_of(chain, theirs)
    try:
        counterparty, _, following, *_ = interface("host").result("getLane", data)
    except Malformed as error:
        return {"lane": f"not as this version has it: {error}"}
    state = tracked.state
    needed = f"{state.operators} of {len(state.members)} operators, weight {state.threshold}"
    return {
        "lane": f"{theirs} here, {ours} there",
        "counterparty": "as recorded" if counterparty == ours else f"ANOTHER: {counterparty}",
        "guardian": "0x" + rules.guardian.hex(),
        "paused": rules.paused,
        "limits": f"{rules.out_max} out, {rules.in_max} in, in {rules.window_s} s",
        "sent": int(following) - 1,
        "client": tracked.status,
        "attested_to": tracked.latest.height,
        "signing_set": f"epoch {state.epoch}, {needed}",
        "set_expires": int(state.expires),
    }


__all__ = ("look",)
