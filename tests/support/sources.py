"""Several nodes of one ledger, some of them poisoned."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from lockgate.lab.entropy import SeededEntropy
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.rpc import Calls
from lockgate.relay.sources import Source, Sources
from lockgate.relay.sources_chain import SourcedChain
from lockgate.relay.submitter import AccountSubmitter
from tests.support.relays import RELAY_LANE, Pair, account

Json = dict[str, Any]
Alarms = list[tuple[str, dict[str, object]]]


def several(
    rpcs: Sequence[Calls], required: int = 2, chain_id: str = "alpha-1", alarms: Alarms | None = None
) -> tuple[SourcedChain, Alarms]:
    """A chain of several nodes, named 0, 1, …, and what it reports."""
    heard: Alarms = [] if alarms is None else alarms
    sources = [Source(str(place), CometBftChain(rpc, chain_id)) for place, rpc in enumerate(rpcs)]
    return SourcedChain(Sources(chain_id, sources, required, lambda kind, fields: heard.append((kind, fields)))), heard


def relayer_over(
    pair: Pair, wraps: Sequence[Callable[[Calls], Calls] | None], required: int = 2, keep: KeepEvidence | None = None
) -> Relayer:
    """A relayer that reads alpha through one node for each of `wraps`, and beta through one."""
    end = pair.a
    rpcs = [wrap(pair.rpc(end)) if wrap else pair.rpc(end) for wrap in wraps]
    chain, _ = several(rpcs, required, alarms=pair.reports)
    key = account("relayer").key
    submitter = AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, RELAY_LANE)
    alpha = EndPoint(chain, submitter, ClientId(end.client), own_lane=False)

    def report(kind: str, fields: dict[str, object]) -> None:
        pair.reports.append((kind, fields))

    return Relayer(alpha, pair.endpoint(pair.b, "relayer"), report, SeededEntropy(b"relayer"), keep)


def relayer_through(pair: Pair, count: int, required: int = 2) -> Relayer:
    """A relayer that reads both ledgers through so many nodes each, all of them honest."""

    def report(kind: str, fields: dict[str, object]) -> None:
        pair.reports.append((kind, fields))

    ends = []
    for end in (pair.a, pair.b):
        chain_id = end.ledger.genesis.chain_id
        chain, _ = several([pair.rpc(end) for _ in range(count)], required, chain_id, pair.reports)
        key = account("relayer").key
        submitter = AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, RELAY_LANE)
        ends.append(EndPoint(chain, submitter, ClientId(end.client), own_lane=False))
    alpha, beta = ends
    return Relayer(alpha, beta, report, SeededEntropy(b"relayer"))


def codes(alarms: Alarms) -> list[object]:
    """Codes of the alarms about sources, in order."""
    return [fields["code"] for kind, fields in alarms if kind == "source_set_aside"]


def poison(method: str, params: Json, result: Json) -> Json:
    """Changes whatever a node answers, shape and all that can be kept of it: heights, times, values, events."""
    match method:
        case "status":
            info = result["sync_info"]
            info["latest_block_height"] = str(int(info["latest_block_height"]) + 1_000)
        case "commit":
            header = result["signed_header"]["header"]
            header["app_hash"] = hashlib.sha256(header["app_hash"].encode()).hexdigest().upper()
        case "block_results":
            result["txs_results"] = result["finalize_block_events"] = None
        case "block":
            result["block"]["data"]["txs"] = []
        case "abci_query":
            response = result["response"]
            value = base64.b64decode(response.get("value") or "")
            response["value"] = base64.b64encode(value[:-1] + b"\x01" if value else b"\x01").decode()
        case "tx_search" | "block_search":
            result |= {"txs": [], "blocks": [], "total_count": "0"}
        case "broadcast_tx_commit":
            result = {"check_tx": {"code": 9, "codespace": "lockgate", "log": "no"}, "tx_result": {}, "height": "0"}
    return result
