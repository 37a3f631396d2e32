"""Chains that are not ours, as a deployment file and the data folder name them.

```
<data>/chains/NAME/chain.json      what the deployment file says of it
<data>/chains/NAME/keys            the relayer's account there, where no `key_file` is named
<data>/chains/NAME/deployed.json   contracts of ours on it, and what was about to be deployed
<data>/chains/NAME/lane.json       the clients of the lane between it and a ledger of ours
<data>/chains/NAME/journal.json, released.json   transactions under way; the newest block that counted as final
<data>/chains/NAME/sent.json       which packets of the lane were read, and which of them were open
```
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from lockgate.node.folder import Folder, read_json, write_json
from lockgate.primitives.errors import Misuse, Refused
from lockgate.relay.chains.evm.fees import GWEI
from lockgate.relay.chains.evm.history import Finality

USUAL: Final = 2  # nodes that must agree
ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
ROOT: Final = re.compile(r"0x[0-9a-fA-F]{64}")
SCHEMES: Final = ("http://", "https://")
SYNC_COMMITTEES: Final = "ethereum"
EVM_CLIENTS: Final = ("attested", SYNC_COMMITTEES)
MOST_NETWORK: Final = 2**63 - 1


class BadChain(Refused):
    code = "config.chain"
    summary = "The deployment file does not describe a chain that can be relayed to."
    untouched = "Nothing was started, signed or sent."
    next_step = "Compare its [[chain]] table with docs/reference/configuration.md."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSpec:
    """What every kind has."""

    name: str
    ledger: str  # of ours, at the other end of the lane
    rpc: tuple[str, ...]
    kind: str = ""
    required: int = 0  # nodes that must agree; 0: two
    one_node_because: str = ""
    key_file: str = ""  # 64 hex digits, readable by its owner alone; none: a sealed key of the folder

    def __post_init__(self) -> None:
        given = (self.name, self.ledger, self.kind, self.one_node_because, self.key_file, *self.rpc)
        if not all(type(text) is str for text in given) or type(self.required) is not int:
            raise BadChain("a field has another type", chain=str(self.name)[:60])
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", self.name):
            raise BadChain("a name is small letters, digits and hyphens", given=self.name[:60])
        if not self.rpc or not all(each.startswith(SCHEMES) for each in self.rpc):
            raise BadChain("rpc is a list of http addresses", chain=self.name)
        if len(set(self.rpc)) != len(self.rpc) or not 0 <= self.required <= len(self.rpc):
            raise BadChain("nodes are different, and no more are required than there are", chain=self.name)
        if self.agreeing < USUAL and not self.one_node_because:
            raise BadChain(
                "two nodes must agree, or `one_node_because` says why one is believed",
                chain=self.name,
                rpc=len(self.rpc),
            )

    @property
    def agreeing(self) -> int:
        return self.required or min(USUAL, len(self.rpc))


@dataclass(frozen=True, slots=True, kw_only=True)
class EvmSpec(ChainSpec):
    """A chain with our contracts."""

    kind: str = "evm"
    network: int  # its chain id
    finality: str  # "finalized", "safe", or how many blocks must lie above one
    host: str = ""  # contract address; none: the one that `lockgate evm deploy` deployed
    max_fee_gwei: int = 100  # for a unit of gas, at most
    max_tip_gwei: int = 2
    attestors: int = 4  # of both: the chain, for the ledger's client; the ledger, for the contract
    quorum: int = 3
    set_days: int = 365  # until the contract's signing set lapses
    packets_per_window: int = 1_000  # each way
    window_s: int = 3_600
    client: str = "attested"  # by which the ledger follows it; "ethereum": by its sync committees
    beacons: tuple[str, ...] = ()  # beacon nodes, for such a client; what any of them shows is proven or nothing
    genesis: str = ""  # genesis validators root of the beacon chain, as its publishers say it
    trusted_root: str = ""  # of a beacon block that the client starts from, as they say it

    def __post_init__(self) -> None:
        ChainSpec.__post_init__(self)
        gas = self.max_fee_gwei, self.max_tip_gwei
        numbers = (
            self.network,
            *gas,
            self.attestors,
            self.quorum,
            self.set_days,
            self.packets_per_window,
            self.window_s,
        )
        if not all(type(number) is int and 0 < number <= MOST_NETWORK for number in numbers):
            raise BadChain("numbers are positive", chain=self.name)
        if not 2 <= self.attestors <= 16 or not self.attestors < 2 * self.quorum <= 2 * self.attestors:
            raise BadChain("a quorum is more than half of 2 to 16 attestors", chain=self.name)
        if self.host and not (type(self.host) is str and ADDRESS.fullmatch(self.host)):
            raise BadChain("host is an address: 0x and 40 hex digits", chain=self.name)
        self._check_client()
        try:
            Finality.parse(str(self.finality))
        except Misuse as error:
            raise BadChain(error.detail, chain=self.name, given=str(self.finality)[:40]) from error

    def _check_client(self) -> None:
        if self.client not in EVM_CLIENTS:
            raise BadChain(f"a client is one of {', '.join(EVM_CLIENTS)}", chain=self.name, given=str(self.client)[:40])
        if self.client != SYNC_COMMITTEES:
            if self.beacons or self.genesis or self.trusted_root:
                raise BadChain("beacons, genesis and trusted_root are for the client `ethereum`", chain=self.name)
            return
        if not self.beacons or not all(type(each) is str and each.startswith(SCHEMES) for each in self.beacons):
            raise BadChain("beacons is a list of http addresses", chain=self.name)
        if not all(type(root) is str and ROOT.fullmatch(root) for root in (self.genesis, self.trusted_root)):
            raise BadChain("genesis and trusted_root are 0x and 64 hex digits", chain=self.name)
        if self.finality != "finalized":
            raise BadChain("what sync committees make final is tagged `finalized`", chain=self.name)

    @property
    def ceiling(self) -> int:
        """Wei for a unit of gas."""
        return self.max_fee_gwei * GWEI


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmosSpec(ChainSpec):
    """A chain of the Cosmos SDK with ibc-go v11."""

    kind: str = "cosmos"
    chain_id: str
    prefix: str = "cosmos"  # of its addresses
    gas_price: int = 0  # so much of `denom` for `gas_per` units of gas, and never more
    gas_per: int = 1_000
    denom: str = ""
    trusting_days: int = 14  # of our client of it
    unbonding_days: int = 21  # the chain's own
    max_packets: int = 1_000  # open at a time, as our ledger counts

    def __post_init__(self) -> None:
        ChainSpec.__post_init__(self)
        numbers = (self.gas_per, self.trusting_days, self.unbonding_days, self.max_packets)
        if not all(type(number) is int and 0 < number <= MOST_NETWORK for number in (*numbers, self.gas_price + 1)):
            raise BadChain("numbers are positive", chain=self.name)
        texts = (self.chain_id, self.prefix, self.denom)
        if not all(type(text) is str for text in texts) or not self.chain_id or not self.prefix.isalnum():
            raise BadChain("chain_id and prefix are text", chain=self.name)
        if bool(self.gas_price) != bool(self.denom):
            raise BadChain("a gas price has a denomination", chain=self.name)
        if self.trusting_days >= self.unbonding_days:
            raise BadChain("trust ends before unbonding does", chain=self.name)


KINDS: Final[dict[str, type[ChainSpec]]] = {"evm": EvmSpec, "cosmos": CosmosSpec}


def read_chain(value: dict[str, Any], base: Path | None = None) -> ChainSpec:
    """One [[chain]] table. A relative `key_file` stands beside `base`, the deployment file. Raises BadChain."""
    kind = KINDS.get(str(value.get("kind")))
    if kind is None:
        raise BadChain(f"a kind is one of {', '.join(KINDS)}", given=str(value.get("kind"))[:40])
    try:
        lists = {name: tuple(value[name]) for name in ("rpc", "beacons") if isinstance(value.get(name), list | tuple)}
        made = kind(**{**value, **lists})
    except TypeError as error:
        raise BadChain(str(error)[:200], chain=str(value.get("name"))[:60]) from error
    if made.key_file and base is not None:
        made = replace(made, key_file=str((base.parent / made.key_file).absolute()))
    return made


def keep(folder: Folder, spec: ChainSpec) -> None:
    """Write down what the deployment file says, for processes that are started by name."""
    write_json(folder.chain(spec.name) / "chain.json", asdict(spec))


def kept(folder: Folder, name: str) -> ChainSpec:
    """What was written down. Raises NotInitialised, BadChain."""
    return read_chain(read_json(folder.chain(name) / "chain.json"))


def kept_evm(folder: Folder, name: str) -> EvmSpec:
    """Raises NotInitialised, BadChain."""
    found = kept(folder, name)
    if not isinstance(found, EvmSpec):
        raise BadChain("not an EVM", chain=name, kind=found.kind)
    return found


__all__ = ("KINDS", "BadChain", "ChainSpec", "CosmosSpec", "EvmSpec", "keep", "kept", "kept_evm", "read_chain")
