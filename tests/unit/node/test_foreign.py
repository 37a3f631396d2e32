"""Chains that are not ours in a deployment: what the file may say, keys, signing sets, deployments cut off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lockgate.crypto.keys import KeyRole
from lockgate.lightclients.evm_attestation import Member, SigningSet
from lockgate.node import applications, ledger
from lockgate.node.applications import Echo, OtherApplications
from lockgate.node.asking import application_there
from lockgate.node.folder import Folder, NotInitialised, write_json
from lockgate.node.foreign import attestors, keys, rotation, sets
from lockgate.node.foreign.deploy import DeployedOtherwise, _Steps
from lockgate.node.foreign.evm import NotDeployedYet, host_of
from lockgate.node.foreign.keys import BadKeyFile, account_scalar, attester_key, derived
from lockgate.node.foreign.records import AccountInUse, NoLaneThere, alone
from lockgate.node.foreign.spec import BadChain, EvmSpec, keep, kept, kept_evm, read_chain
from lockgate.node.foreign.start import named
from lockgate.node.signer_sets import BadSignerSet
from lockgate.node.spec import BadConfig, read_spec
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.node import EvmNode
from lockgate.relay.chains.evm.transactions import created_address
from lockgate.relay.evm_rotation import SignedRotation
from lockgate.relay.http import origin

GOOD: dict[str, Any] = {
    "name": "anvil",
    "kind": "evm",
    "ledger": "alpha",
    "rpc": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
    "network": 31_337,
    "finality": "finalized",
}
COMMITTEES: dict[str, Any] = {
    "client": "ethereum",
    "beacons": ["http://127.0.0.1:5052"],
    "genesis": "0x" + "11" * 32,
    "trusted_root": "0x" + "22" * 32,
}
LEDGER = '[[ledger]]\nname = "alpha"\nchain_id = "alpha-1"\n'
CHAIN = '[[chain]]\nname = "anvil"\nkind = "evm"\nledger = "alpha"\nnetwork = 1\nfinality = "safe"\n'
RPC = 'rpc = ["http://127.0.0.1:1", "http://127.0.0.1:2"]\n'
SCALAR = "11" * 32


def spec(**changes: Any) -> EvmSpec:
    return cast(EvmSpec, read_chain({**GOOD, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "solana"},
        {"kind": None},
        {"name": "An Vil"},
        {"name": 7},
        {"rpc": []},
        {"rpc": "http://127.0.0.1:1"},
        {"rpc": ["http://127.0.0.1:1"]},  # one, and no word why
        {"rpc": ["http://127.0.0.1:1"] * 2},
        {"rpc": ["ftp://127.0.0.1:1", "http://127.0.0.1:2"]},
        {"required": 1},
        {"required": 3},
        {"required": True},
        {"network": 0},
        {"network": 2**63},
        {"network": "1"},
        {"finality": "soon"},
        {"finality": "2000"},
        {"host": "0x12"},
        {"host": 12},
        {"attestors": 1},
        {"attestors": 17},
        {"attestors": 4, "quorum": 2},
        {"attestors": 4, "quorum": 5},
        {"max_fee_gwei": 0},
        {"key": SCALAR},  # a secret has no place in the file
        {"beacon": "x"},
        {"client": "07-tendermint"},
        {"beacons": ["http://127.0.0.1:5052"]},  # for a client that asks none
        {"client": "ethereum"},
        {**COMMITTEES, "beacons": []},
        {**COMMITTEES, "beacons": ["beacon"]},
        {**COMMITTEES, "genesis": ""},
        {**COMMITTEES, "trusted_root": "0x12"},
        {**COMMITTEES, "finality": "64"},
    ],
    ids=str,
)
def test_what_describes_no_chain_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadChain):
        spec(**changes)


def test_one_node_needs_a_word_why() -> None:
    one = spec(rpc=["http://127.0.0.1:1"], one_node_because="it is mine")
    assert (one.agreeing, spec().agreeing, spec(required=2).agreeing) == (1, 2, 2)
    assert spec(**COMMITTEES).client == "ethereum"


def test_a_file_with_one_ledger_and_a_chain_is_a_deployment(tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(LEDGER + CHAIN + RPC + 'key_file = "account.key"\n')
    found = read_spec(path)
    assert (len(found.ledgers), found.hosts) == (1, ())
    assert named(found.chains, None).key_file == str(tmp_path / "account.key"), "beside the file"
    for text, error in (
        (LEDGER, BadConfig),
        (LEDGER + CHAIN, BadChain),
        (LEDGER + CHAIN.replace('"alpha"', '"beta"') + RPC, BadConfig),
        (LEDGER + CHAIN.replace('"anvil"', '"alpha"') + RPC, BadConfig),
        (LEDGER + (CHAIN + RPC) * 2, BadConfig),
        (LEDGER + '[[host]]\nname = "a"\nledger = "alpha"\nguest = "echo"\n' + CHAIN + RPC, BadConfig),
    ):
        path.write_text(text)
        with pytest.raises(error):
            read_spec(path)
    with pytest.raises(BadChain):
        named(found.chains, "another")


def test_what_is_kept_reads_as_it_was(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    keep(folder, spec())
    assert kept(folder, "anvil") == kept_evm(folder, "anvil") == spec()
    with pytest.raises(NotInitialised):
        kept(folder, "another")


# --- keys


def test_a_sealed_key_is_made_once_and_is_no_other_key_of_its_seed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = account_scalar(folder, spec())
    assert first == account_scalar(folder, spec())
    path = folder.chain("anvil") / "keys"
    assert derived(folder, path, KeyRole.ATTESTER) != first, "another role, another key"
    assert first.hex() not in path.read_bytes().hex()
    assert attester_key(folder, "one").address != attester_key(folder, "two").address


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (SCALAR, 0o640),
        (SCALAR, 0o604),
        (SCALAR[:-1], 0o600),
        (SCALAR + SCALAR, 0o600),
        ("00" * 32, 0o600),
        (f"{keys.ORDER:064x}", 0o600),
        ("x" * 64, 0o600),
        ("", 0o600),
    ],
)
def test_a_key_file_that_cannot_serve_is_refused_and_not_shown(tmp_path: Path, text: str, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(BadKeyFile) as refused:
        account_scalar(Folder(tmp_path), spec(key_file=str(path)))
    assert not text or text not in str(refused.value)


def test_a_key_file_holds_hex_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    for text in (SCALAR, "0x" + SCALAR + "\n"):
        path.write_text(text)
        assert account_scalar(Folder(tmp_path), spec(key_file=str(path))) == bytes.fromhex(SCALAR)
    with pytest.raises(BadKeyFile):
        account_scalar(Folder(tmp_path), spec(key_file=str(tmp_path / "gone")))


def test_one_process_at_a_time_holds_an_account(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with alone(folder, "anvil"), pytest.raises(AccountInUse), alone(folder, "anvil"):
        pass
    with alone(folder, "anvil"), alone(folder, "another"):
        pass


def test_a_node_is_told_without_what_its_provider_gave() -> None:
    secret = "https://user:secret@rpc.example:8443/v3/secret?key=secret"
    assert origin(secret) == "https://rpc.example:8443"
    assert EvmNode(secret).name == "https://rpc.example:8443"


# --- signing sets, contracts, attestors


def test_a_signing_set_reads_as_it_was_written(tmp_path: Path) -> None:
    made = sets.first_set(Folder(tmp_path), spec())
    assert (len(made.members), made.threshold, made.operators) == (4, 3, 3)
    assert made.members == sets.first_set(Folder(tmp_path), spec()).members, "its keys are made once"
    assert sets.read(sets.to_json(2, made)) == (2, made)


GOOD_SET = sets.to_json(
    1, SigningSet((Member(1, b"\x0b" * 20, 1), Member(2, b"\x0c" * 20, 1)), 2, 2, UnixSeconds(1_900_000_000))
)


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        [],
        {**GOOD_SET, "more": 1},
        {**GOOD_SET, "epoch": 0},
        {**GOOD_SET, "epoch": "1"},
        {**GOOD_SET, "expires": 2**40},
        {**GOOD_SET, "members": GOOD_SET["members"][:1]},
        {**GOOD_SET, "members": GOOD_SET["members"] * 9},
        {**GOOD_SET, "members": [*GOOD_SET["members"], {"operator": 3, "signer": "0x0d", "weight": 1}]},
        {**GOOD_SET, "members": [*GOOD_SET["members"], {**GOOD_SET["members"][0], "weight": 2**16}]},
        {**GOOD_SET, "members": [*GOOD_SET["members"], {"operator": 3}]},
    ],
)
def test_what_is_no_signing_set_is_refused(spoilt: Any) -> None:
    with pytest.raises(BadSignerSet):
        sets.read(spoilt)


def test_what_an_operator_accepted_is_read_and_nothing_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    attestors.accept_contract(folder, "one", (1, b"\x0a" * 20, "client-0"))
    write_json(folder.attestor("one") / "contracts" / "other.json", {"network": "x"})
    (folder.attestor("one") / "contracts" / "torn.json").write_text("{")
    assert list(attestors.contracts(folder, "one")) == [(1, b"\x0a" * 20, "client-0")]
    _, signing = sets.read(GOOD_SET)
    attestors.accept_set(folder, "one", 2, signing)
    (folder.attestor("one") / "evm-sets" / "3.json").write_text("[]")
    assert list(attestors.following(folder, "one")) == [(2, signing)]


def test_without_a_host_nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(NotDeployedYet):
        host_of(Folder(tmp_path), spec())
    assert host_of(Folder(tmp_path), spec(host="0x" + "0a" * 20)) == b"\x0a" * 20


# --- what was about to be deployed


@dataclass
class Chain:
    """An account's chain: which contracts it created, and what waits. Meets as much of `EvmAccount` as steps use."""

    count: int = 0
    code: dict[bytes, bool] = field(default_factory=dict)
    waiting: int = 0
    address: bytes = b"\x01" * 20
    deployed: list[bytes] = field(default_factory=list)

    @property
    def chain(self) -> Any:
        async def heads() -> tuple[Any, Any]:
            return None, SimpleNamespace(number=7)

        return SimpleNamespace(node=self, heads=heads, chain_id="eip155:1")

    async def many(self, calls: Any, /) -> list[Any]:
        found: list[Any] = []
        for method, params in calls:
            if method == "eth_getTransactionCount":
                found.append(hex(self.count))
            elif method == "eth_getCode":
                found.append("0x01" if self.code.get(bytes.fromhex(params[0][2:])) else "0x")
            else:
                found.append("0x1")
        return found


def steps(folder: Path, chain: Chain, record: dict[str, Any]) -> _Steps:
    return _Steps(folder / "deployed.json", cast(EvmAccount, chain), record, lambda _: None)


def test_what_an_earlier_run_sent_and_did_not_write_down_is_found_and_not_sent_again(tmp_path: Path) -> None:
    there = created_address(b"\x01" * 20, 4)
    chain = Chain(count=5, code={there: True})
    begun = {"pending": {"contract": "host", "nonce": 4}}

    async def work(*_: Any) -> bytes:
        raise AssertionError("nothing is deployed")

    made = steps(tmp_path, chain, dict(begun))
    assert asyncio.run(made.step("host", work)) == there
    assert made.record == {"host": "0x" + there.hex()}
    assert made.sent == 0


def test_what_was_about_to_be_sent_and_never_was_is_sent(tmp_path: Path) -> None:
    chain = Chain(count=4)

    async def work(account: Any, name: str) -> bytes:
        assert "pending" in (tmp_path / "deployed.json").read_text(), "it is written down before"
        return b"\x0a" * 20

    made = steps(tmp_path, chain, {"pending": {"contract": "host", "nonce": 4}})
    assert asyncio.run(made.step("host", work, "host")) == b"\x0a" * 20
    assert made.sent == 1
    assert asyncio.run(made.step("host", work, "host")) == b"\x0a" * 20
    assert made.sent == 1, "once"


def test_a_record_whose_contracts_are_gone_is_no_record(tmp_path: Path) -> None:
    genesis = SimpleNamespace(domain_id=b"\x05" * 32)
    record = {"network": 31_337, "ledger_domain": "05" * 32, "host": "0x" + "0a" * 20}
    gone = steps(tmp_path, Chain(), record)
    with pytest.raises(DeployedOtherwise, match="nothing stands"):
        asyncio.run(gone.check(spec(), cast(Any, genesis)))
    for changed in ({"network": 1}, {"ledger_domain": "06" * 32}):
        with pytest.raises(DeployedOtherwise):
            asyncio.run(steps(tmp_path, Chain(), {**record, **changed}).check(spec(), cast(Any, genesis)))
    other = replace(spec(), host="0x" + "0b" * 20)
    with pytest.raises(DeployedOtherwise, match="host"):
        asyncio.run(steps(tmp_path, Chain(), record).check(other, cast(Any, genesis)))


# --- applications of a ledger, and of others


def test_the_application_at_the_other_end_is_the_one_of_that_lane(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    port = "0x" + "0a" * 20
    for chain, lane in {
        "a": {"ledger": "alpha", "client": "attested-0", "echo": "0x" + "0b" * 20},
        "b": {"ledger": "beta", "client": "attested-0", "echo": port},
        "c": {"ledger": "beta", "client": "attested-1"},
    }.items():
        folder.chain(chain).mkdir(parents=True)
        write_json(folder.chain(chain) / "lane.json", lane)
    folder.chain("d").mkdir()
    assert application_there(folder, "beta", "attested-0") == port
    assert application_there(folder, "beta", "attested-1") == application_there(folder, "beta", "x") == "echo"


def test_applications_are_fixed_when_a_ledger_is_made(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(OtherApplications):
        ledger.create(folder, "alpha", "alpha-1", ports=("bank",))
    ledger.create(folder, "alpha", "alpha-1", ports=("echo",))
    assert isinstance(applications.of(folder.ledger("alpha"))["echo"], Echo)
    ledger.create(folder, "alpha", "alpha-1")  # who says nothing asks for nothing else
    ledger.create(folder, "beta", "beta-1")
    with pytest.raises(OtherApplications):
        ledger.create(folder, "beta", "beta-1", ports=("echo",))
    assert applications.of(folder.ledger("beta")) == {}


# --- chains of the Cosmos SDK

GOOD_COSMOS: dict[str, Any] = {
    "name": "hub",
    "kind": "cosmos",
    "ledger": "alpha",
    "rpc": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
    "chain_id": "hub-1",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": ""},
        {"chain_id": 5},
        {"prefix": "co smos"},
        {"gas_price": 25},
        {"denom": "uatom"},
        {"gas_price": -1},
        {"gas_per": 0},
        {"trusting_days": 21},
        {"max_packets": 0},
        {"network": 1},
    ],
    ids=str,
)
def test_what_describes_no_cosmos_chain_is_refused(changes: dict[str, Any]) -> None:
    assert read_chain(GOOD_COSMOS).name == "hub"
    with pytest.raises(BadChain):
        read_chain({**GOOD_COSMOS, **changes})
    with pytest.raises(BadChain):
        kept_evm_of(GOOD_COSMOS)


def kept_evm_of(value: dict[str, Any]) -> None:
    named((read_chain(value),), None, EvmSpec)


def test_a_rotation_without_a_lane_is_refused_in_words(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_json(folder.chain("anvil") / "deployed.json", {"host": "0x" + "0a" * 20})
    with pytest.raises(NoLaneThere):
        asyncio.run(rotation.rotate(folder, spec(), sets.to_json(2, FOLLOWING), lambda *_: None))


MEMBERS = tuple(Member(number, bytes([number]) * 20, 1) for number in (1, 2, 3))
FOLLOWING = SigningSet(MEMBERS, 2, 2, UnixSeconds(2_000_000_000))


@pytest.mark.parametrize("same", [True, False])
def test_a_set_that_somebody_else_carried_is_recorded_only_where_it_is_the_signed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """Two sets of one epoch may have been signed; the folder must not name the one that the contract does not have."""
    monkeypatch.setattr(rotation, "PAUSE_S", 0.0)
    folder, told = Folder(tmp_path), list[str]()
    signed = SignedRotation(1, FOLLOWING, ())
    write_json(folder.chain("anvil") / rotation.SIGNED, rotation._to_json(signed))
    members = tuple(replace(one, operator=0) for one in FOLLOWING.members)
    if not same:
        members = (*members[:2], Member(0, b"\x09" * 20, 1))
    there = AttestedContract(b"\x0c" * 20, 2, members, 2, 2, FOLLOWING.expires)

    class Chain:
        chain_id = "eip155:1"

        async def client(self, _: str) -> Any:
            return SimpleNamespace(state=there)

    async def refresh() -> None: ...

    account: Any = SimpleNamespace(chain=Chain())
    end: Any = SimpleNamespace(client="client-0", refresh=refresh)
    step = rotation.carrying(folder, spec(), account, end, lambda name, _: told.append(name))
    asyncio.run(step())
    assert told == ["rotated" if same else "rotation_dropped"]
    assert (folder.chain("anvil") / rotation.CARRIED).exists() == same
    assert not (folder.chain("anvil") / rotation.SIGNED).exists()
