"""A node that lies to one process: about its tip, about blocks, values, proofs, headers, and what it took in.

What it says must be found out before anything follows from it; lying about what it took in can only
delay. It stops at the end of the storm, as when an operator changes to an honest node.
"""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from lockgate.lab.adversaries.adversary import Adversary
from lockgate.lab.adversaries.relayer import flipped
from lockgate.lab.network import BROADCASTS

LIES: Final = 150  # answers per thousand


class LyingNode(Adversary):
    name = "node"

    async def begin(self) -> None:
        process = self.draws.choice([*self.cast.hosts, *self.cast.relayers])
        self._pair = (process.name, self.draws.choice(self.cast.ledgers).name)
        self.report("lies", to=self._pair[0], of=self._pair[1])
        self.world.network.twists[self._pair] = self._twist

    async def end(self) -> None:
        self.world.network.twists.pop(self._pair, None)
        self.report("replaced")

    def _twist(self, method: str, params: Mapping[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
        lie = self._lies().get("broadcast" if method in BROADCASTS else method)
        if lie is None or not self.draws.chance(LIES):
            return truth
        try:
            return lie(copy.deepcopy(truth))
        except (KeyError, TypeError, IndexError):
            return truth  # nothing in this answer to lie about

    def _lies(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {
            "status": self._tip,
            "abci_query": self._value_or_proof,
            "block_results": self._events,
            "block": self._transactions,
            "commit": self._header,
            "validators": self._set,
            "tx": self._outcome,
            "broadcast": self._outcome,
        }

    def _tip(self, answer: dict[str, Any]) -> dict[str, Any]:
        info = answer["sync_info"]
        height = int(info["latest_block_height"]) + self.draws.between(-6, 6)
        info["latest_block_height"] = str(max(1, height))
        return answer

    def _value_or_proof(self, answer: dict[str, Any]) -> dict[str, Any]:
        response = answer["response"]
        if self.draws.chance(500) and response.get("proofOps"):
            op = response["proofOps"]["ops"][0]
            op["data"] = self._bent(op["data"])
        elif response.get("value"):
            response["value"] = self._bent(response["value"])
        return answer

    def _events(self, answer: dict[str, Any]) -> dict[str, Any]:
        results = answer["txs_results"]
        if self.draws.chance(500):
            results[0]["events"] = []
            return answer
        event = self.draws.choice(results[0]["events"])
        attribute = self.draws.choice(event["attributes"])
        attribute["value"] = attribute["value"][::-1]
        return answer

    def _transactions(self, answer: dict[str, Any]) -> dict[str, Any]:
        txs = answer["block"]["data"]["txs"]
        txs[0] = self._bent(txs[0])
        return answer

    def _header(self, answer: dict[str, Any]) -> dict[str, Any]:
        header = answer["signed_header"]["header"]
        name = self.draws.choice(("app_hash", "validators_hash", "last_block_id"))
        if name == "last_block_id":
            header[name]["hash"] = header[name]["hash"][::-1]
        else:
            header[name] = header[name][::-1]
        return answer

    def _set(self, answer: dict[str, Any]) -> dict[str, Any]:
        member = answer["validators"][0]
        member["voting_power"] = str(int(member["voting_power"]) + 1)
        return answer

    def _outcome(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What was refused is said to be taken, and the other way round."""
        result = answer["tx_result"]
        result["code"] = 0 if int(result.get("code") or 0) else 22
        return answer

    def _bent(self, text: str) -> str:
        data = b64decode(text)
        if not data:
            return text
        return b64encode(flipped(data, self.draws.below(len(data)), self.draws.below(8))).decode()


__all__ = ("LyingNode",)
