"""Third-party cases for following a beacon chain: the specification's sync runs, mainnet's updates, and each spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from lockgate.ibc import host
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lightclients.ethereum import (
    Bootstrap,
    ClientState,
    ConsensusState,
    EthereumClient,
    Fork,
    Header,
    Network,
    Scheduled,
    SyncAggregate,
    SyncCommittee,
    Update,
    json_form,
    ssz_form,
    states,
)
from lockgate.lightclients.ethereum.containers import NO_HEADER, committee_root, fork_data_root
from lockgate.lightclients.ethereum.messages import HEADER, encode_header
from lockgate.lightclients.ethereum.proofs import encode_proof
from lockgate.lightclients.ethereum.states import MAX_TRUSTING_PERIOD
from lockgate.lightclients.ethereum.sync import Store, force_update, process_update, start
from lockgate.lightclients.ethereum.verification import check_bootstrap, check_update
from lockgate.lightclients.evm_storage import slot_of
from lockgate.merkle import ethereum
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds
from tests.support.memory_view import MemoryView
from tests.vectors import plain_yaml, raw_snappy
from tests.vectors.sets import REPO, Tally, vector_set

TOPIC = "ethereum-light-client"
MINIMAL = {"seconds_per_slot": 6, "slots_per_epoch": 8, "epochs_per_period": 8, "committee_size": 32}
MAINNET = {"seconds_per_slot": 12, "slots_per_epoch": 32, "epochs_per_period": 256, "committee_size": 512}
# What the set's page says of mainnet; the forks before Capella end where it begins.
MAINNET_ROOT = "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
MAINNET_GENESIS = 1_606_824_023
MAINNET_FORKS = tuple(
    Scheduled(epoch, bytes([place, 0, 0, 0])) for place, epoch in enumerate((0, 74_240, 144_896, 194_048, 269_568))
)
CHECKPOINT = bytes.fromhex("5afc212a7924789b2bc86acad3ab3a6ffb1f6e97253ea50bee7f4f51422c9275")
FAR_FUTURE = 2**64 - 1
OWN = Height(1, 1)


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def refuses(action: Callable[[], object]) -> bool:
    try:
        action()
    except LockgateError:
        return True
    return False


# ---- the specification's own runs


def test_spec_sync() -> None:
    tally = Tally(TOPIC, "spec-sync")
    for meta in sorted(vector_set(TOPIC, "spec-sync").rglob("meta.yaml")):
        tally.check(Run(meta.parent).holds(), meta.parent.name)
    tally.close()


class Run:
    """One scenario: a store that starts from a bootstrap and goes through its steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = plain_yaml.load((folder / "meta.yaml").read_text())
        self.steps = plain_yaml.load((folder / "steps.yaml").read_text())
        self.network = spec_network(plain_yaml.load((folder / "config.yaml").read_text()), self.meta)

    def holds(self) -> bool:
        fork = self.fork(self.meta["bootstrap_fork_digest"])
        bootstrap = ssz_form.decode_bootstrap(self.object("bootstrap"), fork, self.network.committee_size)
        store = start(self.network, bootstrap, raw(self.meta["trusted_block_root"]))
        for step in self.steps:
            ((kind, arguments),) = step.items()
            store = self.step(store, kind, arguments)
            if not self.is_as_checked(store, arguments["checks"]):
                return False
        return bool(self.steps)

    def step(self, store: Store, kind: str, arguments: Any) -> Store:
        if kind == "upgrade_store":
            return store  # a store of ours holds what every fork has
        now = int(arguments["current_slot"])
        if kind == "force_update":
            return force_update(self.network, store, now)
        assert kind == "process_update", kind
        fork = self.fork(arguments["update_fork_digest"])
        data = self.object(arguments["update"])
        update = ssz_form.decode_update(data, fork, self.network.committee_size)
        assert ssz_form.encode_update(update, fork, self.network.committee_size) == data
        after = process_update(self.network, store, update, now)
        assert all(
            refuses(lambda wrong=wrong: process_update(self.network, store, wrong, now)) for wrong in spoilt(update)
        )
        assert refuses(lambda: process_update(self.network, store, update, update.signature_slot - 1))
        return after

    def object(self, name: str) -> bytes:
        return raw_snappy.decompress((self.folder / f"{name}.ssz_snappy").read_bytes())

    def fork(self, digest: str) -> Fork:
        roots = [fork_data_root(each.version, self.network.genesis_validators_root)[:4] for each in self.network.forks]
        return Fork(roots.index(raw(digest)))

    def is_as_checked(self, store: Store, checks: Any) -> bool:
        return all(
            (header.beacon.slot, header.beacon.root, header.execution.root(self.network.fork(header.beacon.slot)))
            == (int(expected["slot"]), raw(expected["beacon_root"]), raw(expected.get("execution_root", "00" * 32)))
            for header, expected in (
                (store.finalized_header, checks["finalized_header"]),
                (store.optimistic_header, checks["optimistic_header"]),
            )
        )


def spec_network(config: Any, meta: Any) -> Network:
    named = [("GENESIS_FORK_VERSION", None)]
    named += [(f"{fork.name}_FORK_VERSION", f"{fork.name}_FORK_EPOCH") for fork in list(Fork)[1:]]
    forks = [
        Scheduled(0 if epoch is None else int(config[epoch]), raw(config[version]))
        for version, epoch in named
        if version in config
    ]
    preset = {"'minimal'": MINIMAL, "minimal": MINIMAL, "mainnet": MAINNET}[config["PRESET_BASE"]]
    return Network(
        genesis_validators_root=raw(meta["genesis_validators_root"]),
        genesis_time=0,
        forks=tuple(each for each in forks if each.epoch < FAR_FUTURE),
        **preset,
    )


# ---- mainnet


def test_mainnet_capella() -> None:
    """Every update of the folder is judged from the one before it in time, the first from the bootstrap's committee."""
    tally = Tally(TOPIC, "mainnet-capella")
    network = Network(
        genesis_validators_root=raw(MAINNET_ROOT), genesis_time=MAINNET_GENESIS, forks=MAINNET_FORKS, **MAINNET
    )
    objects = dict(beacon_objects(vector_set(TOPIC, "mainnet-capella")))
    starts = {name: each for name, each in objects.items() if isinstance(each, Bootstrap)}
    committees = dict(trusted_committees(network, objects))
    for name, bootstrap in starts.items():
        committees[network.period(bootstrap.header.beacon.slot)] = bootstrap.current_sync_committee
        tally.check(is_start(network, bootstrap), name)
    updates = {name: each for name, each in objects.items() if isinstance(each, Update)}
    for name, update in sorted(updates.items(), key=lambda pair: pair[1].signature_slot):
        period = network.period(update.signature_slot)
        following = update.next_sync_committee
        if following is not None:
            committees.setdefault(network.period(update.attested_header.beacon.slot) + 1, following)
        tally.check(period in committees and holds(network, committees, update), name)
    tally.close()


def is_start(network: Network, bootstrap: Bootstrap) -> bool:
    """A bootstrap is one of the checkpoint, and of no other block; spoilt it is none."""
    check_bootstrap(network, bootstrap, CHECKPOINT)
    wrong = [replace(bootstrap, current_sync_committee_branch=bootstrap.current_sync_committee_branch[::-1])]
    wrong += [replace(bootstrap, header=each) for each in other_headers(bootstrap.header)]
    refused = all(refuses(lambda each=each: check_bootstrap(network, each, CHECKPOINT)) for each in wrong)
    return refused and refuses(lambda: check_bootstrap(network, bootstrap, bytes(32)))


def trusted_committees(network: Network, objects: dict[str, Any]) -> Iterator[tuple[int, SyncCommittee]]:
    """A folder without a bootstrap goes on from the newest update of the usual place, or from its own oldest one."""
    if any(isinstance(each, Bootstrap) for each in objects.values()):
        return
    usual = REPO.parent / "shared" / "vectors" / TOPIC / "mainnet-capella"
    known = [each for _, each in beacon_objects(usual) if isinstance(each, Update)]
    oldest = min(objects.values(), key=lambda update: update.signature_slot)
    for update in known or [oldest]:
        if update.next_sync_committee is not None:
            yield network.period(update.attested_header.beacon.slot) + 1, update.next_sync_committee


def beacon_objects(folder: Path) -> Iterator[tuple[str, Bootstrap | Update]]:
    for path in sorted(folder.rglob("*.json")):
        document = json_form.parse(path.read_bytes())
        for place, each in enumerate(document if isinstance(document, list) else [document]):
            data = each.get("data", each)
            name = f"{path.name}:{place}"
            if "current_sync_committee" in data:
                yield name, json_form.bootstrap_from_json(data, MAINNET["committee_size"])
            else:
                yield name, json_form.update_from_json(data, MAINNET["committee_size"])


def holds(network: Network, committees: dict[int, Any], update: Update) -> bool:
    """An update holds from a state of its own period whose next committee is not known, and spoilt it does not."""
    period = network.period(update.signature_slot)
    committee = committees[period]
    slot = period * network.slots_per_epoch * network.epochs_per_period
    known = Store(
        finalized_header=update.attested_header,
        optimistic_header=update.attested_header,
        current_sync_committee=committee,
    ).known
    known = replace(known, slot=slot)
    now = update.signature_slot
    check_update(network, known, update, committee, now)
    return all(
        refuses(lambda wrong=wrong: check_update(network, known, wrong, committee, now)) for wrong in spoilt(update)
    )


# ---- recorded runs of IBC over it


def test_ibc_runs() -> None:
    tally = Tally(TOPIC, "ibc-runs")
    for path in sorted(vector_set(TOPIC, "ibc-runs").rglob("*.json")):
        recorded = Recorded(json_form.parse(path.read_bytes()))
        tally.check(recorded.outcomes() == recorded.expected, path.name)
    tally.close()


class Recorded:
    """A recorded run, put to a client of ours on a ledger's view."""

    def __init__(self, run: Any) -> None:
        self.expected, self.events = run["expected"], run["events"]
        self.view, self.client, self.id = MemoryView(), EthereumClient(), ClientId("ethereum-0")
        self.accounts: dict[int, list[bytes]] = {}  # of runs whose updates bring the account proof
        stated, first = run["client_state"], run["consensus_state"]
        self.network = run_network(stated)
        self.state = ClientState(
            chain_id=str(stated["chain_id"]),
            network=self.network,
            host=raw(stated["ibc_contract_address"]),
            commitments=raw(stated["ibc_commitment_slot"]),
            trusting_period=MAX_TRUSTING_PERIOD,
            latest_height=Height(0, first["slot"]),
        )
        consensus = ConsensusState(
            timestamp=UnixNanos(first["timestamp"] * NANOS_PER_SECOND),
            number=int(stated["latest_execution_block_number"]),
            root=raw(first["state_root"]),
            block_root=sha256(raw(first["state_root"])).digest(),  # the recordings do not say it
            committee=self.summary(first["current_sync_committee"]),
            next_committee=first["next_sync_committee"] and self.summary(first["next_sync_committee"]),
        )
        raws = states.encode_client_state(self.state), states.encode_consensus_state(consensus)
        self.view.apply(self.client.initialise(self.view, self.id, *raws, consensus.timestamp, OWN))

    def outcomes(self) -> list[str]:
        return [self.outcome(event) for event in self.events]

    def outcome(self, event: Any) -> str:
        try:
            if event["type"] == "update_client":
                self.update(event["header"])
            else:
                self.prove(event)
        except LockgateError:
            return "refuse"
        return "accept"

    def update(self, header: Any) -> None:
        ((_, committee),) = header["active_sync_committee"].items()
        size = self.network.committee_size
        update = json_form.update_from_json(header["consensus_update"], size)
        latest = self.client.latest_height(self.view, self.id).height
        message = Header(
            trusted=Height(0, int(header.get("trusted_slot", latest))),
            committee=json_form.committee_from_json(committee, size),
            update=update,
        )
        before = self.view.snapshot()
        for wrong in spoilt(update):
            assert refuses(lambda wrong=wrong: self.send(replace(message, update=wrong)))
        assert self.view.snapshot() == before
        self.send(message)
        at = update.finalized_header
        if header.get("account_update"):
            account = header["account_update"]["account_proof"]
            nodes = list(map(raw, account["proof"]))
            found = ethereum.account(at.execution.state_root, self.state.host, nodes)
            if found is None or found.storage_root != raw(account["storage_root"]):
                raise ProofMismatch("the account has another storage root than is stated")
            self.accounts[at.beacon.slot] = nodes

    def send(self, header: Header) -> None:
        time = self.network.genesis_time + header.update.signature_slot * self.network.seconds_per_slot
        value = encode_header(header, self.network)
        now = UnixNanos(time * NANOS_PER_SECOND)
        done = self.client.update(self.view, self.id, (HEADER, value), now, OWN)
        assert not done.misbehaviour
        self.view.apply(done.outcome)

    def prove(self, event: Any) -> None:
        packet, height = packet_of(event["packet"]), Height(0, int(event["proof_height"]["revision_height"]))
        stored = event["proof"].get("storage_proof", event["proof"])
        account = event["proof"].get("account_proof")
        nodes = self.accounts.get(height.height, []) if account is None else list(map(raw, account["proof"]))
        proof = encode_proof(nodes, list(map(raw, stored["proof"])))
        path, word = expectation(event, packet)
        stated = raw(stored["key"]), int(stored["value"], 16).to_bytes(32)
        if (slot_of(path, self.state.commitments), word) != stated:
            raise ProofMismatch("the proof is of another key or value than the packet's")
        where = self.view, self.id, height
        if any(word):
            self.client.verify_membership(*where, proof, (path,), word)
            assert refuses(lambda: self.client.verify_membership(*where, proof, (path,), flip(word)))
            assert refuses(lambda: self.client.verify_non_membership(*where, proof, (path,)))
        else:
            self.client.verify_non_membership(*where, proof, (path,))
            assert refuses(lambda: self.client.verify_membership(*where, proof, (path,), b"\x01" * 32))
        assert refuses(lambda: self.client.verify_membership(*where, proof, (flip(path),), word))
        assert refuses(lambda: self.client.verify_membership(*where, proof, (b"ibc", path), word))

    def summary(self, stated: Any) -> bytes:
        """A committee's root; older runs state the sum of its keys alone, and the keys where it signs."""
        if not isinstance(stated, str):
            return committee_root(raw(stated["pubkeys_hash"]), raw(stated["aggregate_pubkey"]))
        for event in self.events:
            for committee in event.get("header", {}).get("active_sync_committee", {}).values():
                if committee["aggregate_pubkey"] == stated:
                    return json_form.committee_from_json(committee, self.network.committee_size).root
        return sha256(raw(stated)).digest()


def run_network(stated: Any) -> Network:
    parameters = stated["fork_parameters"]
    forks = [Scheduled(0, raw(parameters["genesis_fork_version"]))]
    for fork in list(Fork)[1:]:
        each = parameters.get(fork.name.lower())
        if each is not None and each["epoch"] < FAR_FUTURE:
            forks.append(Scheduled(each["epoch"], raw(each["version"])))
    return Network(
        genesis_validators_root=raw(stated["genesis_validators_root"]),
        genesis_time=stated["genesis_time"],
        seconds_per_slot=stated["seconds_per_slot"],
        slots_per_epoch=stated["slots_per_epoch"],
        epochs_per_period=stated["epochs_per_sync_committee_period"],
        committee_size=stated.get("sync_committee_size", MINIMAL["committee_size"]),
        forks=tuple(forks),
    )


def packet_of(stated: Any) -> Packet:
    payloads = tuple(
        Payload(each["source_port"], each["dest_port"], each["version"], each["encoding"], raw(each["value"]))
        for each in stated["payloads"]
    )
    ends = ClientId(stated["source_client"]), ClientId(stated["dest_client"])
    return Packet(stated["sequence"], *ends, UnixSeconds(stated["timeout_timestamp"]), payloads)


def expectation(event: Any, packet: Packet) -> tuple[bytes, bytes]:
    """Path on the EVM side and the word that must stand there."""
    if event["type"] == "recv_packet":
        return host.packet_commitment(packet.source_client, packet.sequence), commit_packet(packet)
    if event["type"] == "acknowledge":
        acknowledgement = commit_acknowledgement(Acknowledgement(tuple(map(raw, event["acks"]))))
        return host.packet_acknowledgement(packet.destination_client, packet.sequence), acknowledgement
    assert event["type"] == "timeout", event["type"]
    return host.packet_receipt(packet.destination_client, packet.sequence), bytes(32)


# ---- spoiling


def other_headers(header: Any) -> Iterator[Any]:
    beacon, execution = header.beacon, header.execution
    yield replace(header, beacon=replace(beacon, state_root=flip(beacon.state_root)))
    yield replace(header, beacon=replace(beacon, proposer_index=beacon.proposer_index + 1))
    if header.execution_branch:
        yield replace(header, execution=replace(execution, state_root=flip(execution.state_root)))
        yield replace(header, execution=replace(execution, timestamp=execution.timestamp + 1))
        yield replace(header, execution_branch=flip_branch(header.execution_branch))


def spoilt(update: Update) -> Iterator[Update]:
    """One bit of a branch, root or signature other than it was, or somebody else among those who took part."""
    aggregate = update.sync_aggregate
    for header in other_headers(update.attested_header):
        yield replace(update, attested_header=header)
    yield replace(update, sync_aggregate=SyncAggregate(aggregate.bits, flip(aggregate.signature)))
    yield replace(update, sync_aggregate=SyncAggregate(flip(aggregate.bits), aggregate.signature))
    yield replace(update, sync_aggregate=SyncAggregate(bytes(len(aggregate.bits)), aggregate.signature))
    if update.has_finality:
        yield replace(update, finality_branch=flip_branch(update.finality_branch))
        yield replace(update, finality_branch=update.finality_branch[1:])
        if update.finalized_header != NO_HEADER:  # where genesis is final, nothing is left of it without a branch
            yield replace(update, finality_branch=())
        for header in other_headers(update.finalized_header):
            yield replace(update, finalized_header=header)
    if update.next_sync_committee is not None:
        committee = update.next_sync_committee
        yield replace(update, next_sync_committee_branch=flip_branch(update.next_sync_committee_branch))
        yield replace(update, next_sync_committee=replace(committee, pubkeys=committee.pubkeys[::-1]))
        yield replace(update, next_sync_committee=None)


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def flip_branch(branch: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (*branch[:-1], flip(branch[-1]))
