"""Third-party cases for following a beacon chain: the specification's sync runs, mainnet's updates, and each spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockgate.lightclients.ethereum import (
    Bootstrap,
    Fork,
    Network,
    Scheduled,
    SyncAggregate,
    SyncCommittee,
    Update,
    json_form,
    ssz_form,
)
from lockgate.lightclients.ethereum.containers import fork_data_root
from lockgate.lightclients.ethereum.sync import Store, force_update, process_update, start
from lockgate.lightclients.ethereum.verification import check_bootstrap, check_update
from lockgate.primitives.errors import LockgateError
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
