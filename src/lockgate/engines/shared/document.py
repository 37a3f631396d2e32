"""The genesis document of a ledger as CometBFT writes it, for its nodes and for whoever asks over RPC."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from lockgate.engines.shared.validators import validator_set
from lockgate.lightclients.cometbft import rpc_json
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.machine.genesis import Genesis


def genesis_document(genesis: Genesis, consensus_params: dict[str, Any]) -> dict[str, Any]:
    """genesis.json, with our own genesis in its `app_state`. Source: CometBFT v0.38, types.GenesisDoc."""
    return {
        "genesis_time": format_time(genesis.time),
        "chain_id": genesis.chain_id,
        "initial_height": "1",
        "consensus_params": consensus_params,
        "validators": [
            {
                "address": member.address.hex().upper(),
                "pub_key": rpc_json.validator_to_json(member)["pub_key"],
                "power": str(member.voting_power),
                "name": "",
            }
            for member in validator_set(genesis.validators).validators
        ],
        "app_hash": "",
        "app_state": {"lockgate": b64encode(genesis.to_bytes()).decode()},
    }


__all__ = ("genesis_document",)
