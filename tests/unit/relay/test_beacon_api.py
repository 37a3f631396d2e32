"""A beacon node's light client API is read strictly and within bounds; every failure is typed."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.lab.beacon_rest import LIGHT, application, serving
from lockgate.lightclients.ethereum import (
    BeaconHeader,
    Bootstrap,
    ExecutionHeader,
    LightHeader,
    Network,
    Scheduled,
    SyncAggregate,
    SyncCommittee,
    Update,
    json_form,
)
from lockgate.lightclients.ethereum.network import MAX_UINT64
from lockgate.lightclients.ethereum.ssz_form import MAX_COMMITTEE
from lockgate.primitives.errors import LockgateError
from lockgate.relay.chains import beacon
from lockgate.relay.chains.beacon import BeaconApi, BeaconUnknown
from lockgate.relay.http import HttpFailed, TooLong
from lockgate.relay.rpc import BadAnswer

T = TypeVar("T")
SIZE = 32
NETWORK = Network(
    genesis_validators_root=b"\x07" * 32,
    genesis_time=1_700_000_000,
    seconds_per_slot=6,
    slots_per_epoch=8,
    epochs_per_period=8,
    committee_size=SIZE,
    forks=tuple(Scheduled(max(0, at - 4), bytes((at, 0, 0, 1))) for at in range(6)),
)
KEYS = SyncCommittee(tuple(bytes((at,)) * 48 for at in range(1, SIZE + 1)), b"\xaa" * 48)
SPEC = "/eth/v1/config/spec"
GENESIS = "/eth/v1/beacon/genesis"


def header(slot: int) -> LightHeader:
    execution = ExecutionHeader(block_number=slot - 1, timestamp=slot * 6, extra_data=b"lab", base_fee_per_gas=1 << 80)
    return LightHeader(BeaconHeader(slot=slot, state_root=b"\x01" * 32), execution, (b"\x02" * 32,) * 4)


def update(period: int) -> Update:
    return Update(
        attested_header=header(64 * period + 40),
        next_sync_committee=KEYS,
        next_sync_committee_branch=(b"\x03" * 32,) * 6,
        finalized_header=header(64 * period + 24),
        finality_branch=(b"\x04" * 32,) * 7,
        sync_aggregate=SyncAggregate(b"\xff" * 4, b"\x05" * 96),
        signature_slot=64 * period + 41,
    )


class Told:
    """Meets `lab.beacon_rest.Light`: what a beacon has said is told again."""

    network = NETWORK
    start = Bootstrap(header=header(8), current_sync_committee=KEYS, current_sync_committee_branch=(b"\x06" * 32,) * 6)

    def bootstrap(self, root: bytes) -> Bootstrap | None:
        return self.start if root == self.start.header.beacon.root else None

    def best_update(self, period: int) -> Update | None:
        return update(period) if period < 12 else None

    def finality_update(self) -> Update | None:
        return update(1)

    def optimistic_update(self) -> Update | None:
        return None


def against_a_beacon(work: Callable[[BeaconApi], Awaitable[T]]) -> T:
    async def run() -> T:
        async with serving(application(Told())) as address:
            api = BeaconApi(address, SIZE)
            try:
                return await work(api)
            finally:
                await api.close()

    return asyncio.run(run())


def test_all_that_a_beacon_tells_is_read_over_http() -> None:
    async def work(api: BeaconApi) -> None:
        assert await api.network() == NETWORK
        assert await api.bootstrap(Told.start.header.beacon.root) == Told.start
        assert await api.updates(3, 2) == [update(3), update(4)]
        assert await api.updates(9, beacon.UPDATES_AT_ONCE) == [update(9), update(10), update(11)]
        assert len(await api.updates(0, 100)) == beacon.UPDATES_AT_ONCE
        assert await api.finality_update() == update(1)
        for absent in (api.optimistic_update(), api.bootstrap(bytes(32))):
            with pytest.raises(BeaconUnknown):
                await absent

    against_a_beacon(work)


@pytest.mark.parametrize("size", [32, 512, MAX_COMMITTEE])
def test_no_more_updates_are_asked_for_than_one_answer_holds(size: int) -> None:
    class Full:
        """Has every period; its answers are cut off where the reader stops."""

        async def get(self, target: str) -> tuple[int, bytes]:
            count = int(target.rpartition("=")[2])
            keys = SyncCommittee(KEYS.pubkeys[:1] * size, KEYS.aggregate_pubkey)
            aggregate = SyncAggregate(b"\xff" * (size // 8), b"\x05" * 96)
            whole = replace(update(1), next_sync_committee=keys, sync_aggregate=aggregate)
            each = {"version": "electra", "data": json_form.update_to_json(whole)}
            body = json.dumps([each] * count).encode()
            if len(body) > beacon.MAX_ANSWER:
                raise TooLong("cut off")
            return 200, body

        async def close(self) -> None:
            """Nothing is held open."""

    found = asyncio.run(BeaconApi("http://127.0.0.1:1", size, get=Full()).updates(1, beacon.UPDATES_AT_ONCE))
    assert 0 < len(found) <= beacon.UPDATES_AT_ONCE


@pytest.mark.parametrize(
    "target",
    [
        f"{LIGHT}/updates",
        f"{LIGHT}/updates?start_period=0",
        f"{LIGHT}/updates?start_period=0&count=1&count=2",
        f"{LIGHT}/updates?start_period=-1&count=1",
        f"{LIGHT}/updates?start_period=00&count=1",
        f"{LIGHT}/updates?start_period=0&count=x",
        f"{LIGHT}/finality_update?slot=1",
        f"{LIGHT}/bootstrap/0x00",
        f"{LIGHT}/bootstrap/{'0' * 64}",
        f"{SPEC}?x=1",
    ],
)
def test_the_lab_beacon_answers_no_question_of_another_form(target: str) -> None:
    async def work(api: BeaconApi) -> int:
        return (await api._get.get(target))[0]

    assert against_a_beacon(work) == 400


class Canned:
    """Answers each path with what a test hands it."""

    def __init__(self, *, status: int = 200, failure: Exception | None = None) -> None:
        committee = json_form.update_to_json(update(0))
        self.answers: dict[str, Any] = {
            f"{LIGHT}/finality_update": {"version": "electra", "data": committee},
            f"{LIGHT}/updates?start_period=0&count=1": [{"version": "electra", "data": copy.deepcopy(committee)}],
            f"{LIGHT}/bootstrap/0x{bytes(32).hex()}": {
                "version": "electra",
                "data": json_form.bootstrap_to_json(Told.start),
            },
            GENESIS: {
                "data": {
                    "genesis_time": "5",
                    "genesis_validators_root": "0x" + "07" * 32,
                    "genesis_fork_version": "0x00000001",
                }
            },
            SPEC: {
                "data": {
                    "SECONDS_PER_SLOT": "6",
                    "SLOTS_PER_EPOCH": "8",
                    "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "8",
                    "SYNC_COMMITTEE_SIZE": "32",
                    "ALTAIR_FORK_EPOCH": "0",
                    "ALTAIR_FORK_VERSION": "0x01000001",
                    "BELLATRIX_FORK_EPOCH": str(MAX_UINT64),
                    "BLOB_SCHEDULE": [],
                }
            },
        }
        self.texts: dict[str, bytes] = {}
        self._status, self._failure = status, failure

    async def get(self, target: str) -> tuple[int, bytes]:
        if self._failure is not None:
            raise self._failure
        return self._status, self.texts.get(target) or json.dumps(self.answers[target]).encode()

    async def close(self) -> None: ...


def read(canned: Canned, what: str) -> object:
    api = BeaconApi("lab", SIZE, get=canned)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "finality": api.finality_update,
        "updates": lambda: api.updates(0),
        "bootstrap": lambda: api.bootstrap(bytes(32)),
        "network": api.network,
    }

    async def work() -> object:
        return await asked[what]()

    return asyncio.run(work())


@pytest.mark.parametrize("what", ["finality", "updates", "bootstrap", "network"])
def test_the_canned_answers_are_good(what: str) -> None:
    found = read(Canned(), what)
    if isinstance(found, Network):
        assert [each.epoch for each in found.forks] == [0, 0]


@pytest.mark.parametrize(
    ("status", "failure", "code"),
    [
        (404, None, BeaconUnknown),
        (500, None, ChainUnavailable),
        (301, None, ChainUnavailable),
        (206, None, ChainUnavailable),
        (200, HttpFailed("cut short"), ChainUnavailable),
        (200, TooLong("the body"), BadAnswer),
    ],
)
def test_no_answer_is_one_of_three_failures(status: int, failure: Exception | None, code: type[LockgateError]) -> None:
    with pytest.raises(code) as raised:
        read(Canned(status=status, failure=failure), "finality")
    assert type(raised.value) is code


def spoilt(canned: Canned, what: str) -> str:
    """Spoil one answer; returns who reads it."""
    finality, spec, genesis = (canned.answers[at] for at in (f"{LIGHT}/finality_update", SPEC, GENESIS))
    listed = canned.answers[f"{LIGHT}/updates?start_period=0&count=1"]
    match what:
        case "no json":
            canned.texts[f"{LIGHT}/finality_update"] = b"<html>"
        case "a name twice":
            canned.texts[f"{LIGHT}/finality_update"] = b'{"version":"electra","version":"electra","data":{}}'
        case "a float":
            canned.texts[f"{LIGHT}/finality_update"] = b'{"version":"electra","data":1.5}'
        case "deep":
            canned.texts[f"{LIGHT}/finality_update"] = b"[" * 100_000
        case "no object":
            canned.answers[f"{LIGHT}/finality_update"] = [finality]
        case "no version":
            del finality["version"]
        case "unknown fork":
            finality["version"] = "gloas"
        case "no data":
            del finality["data"]
        case "unknown field":
            finality["data"]["extra"] = "1"
        case "short key":
            finality["data"]["next_sync_committee"]["pubkeys"][3] = "0x00"
        case "another size":
            finality["data"]["next_sync_committee"]["pubkeys"] *= 2
        case "bits of another size":
            finality["data"]["sync_aggregate"]["sync_committee_bits"] = "0xff"
        case "no list":
            canned.answers[f"{LIGHT}/updates?start_period=0&count=1"] = listed[0]
            return "updates"
        case "more than asked":
            listed.append(listed[0])
            return "updates"
        case "a branch too long":
            canned.answers[f"{LIGHT}/bootstrap/0x{bytes(32).hex()}"]["data"]["current_sync_committee_branch"] *= 2
            return "bootstrap"
        case _:
            where, name, value = {
                "no seconds": (spec, "SECONDS_PER_SLOT", "0"),
                "no slots": (spec, "SLOTS_PER_EPOCH", "0"),
                "no epochs": (spec, "EPOCHS_PER_SYNC_COMMITTEE_PERIOD", "-1"),
                "a number": (spec, "SYNC_COMMITTEE_SIZE", 32),
                "other digits": (spec, "SYNC_COMMITTEE_SIZE", "\u0663\u0662"),
                "a large number": (spec, "ALTAIR_FORK_EPOCH", str(MAX_UINT64 + 1)),
                "a long version": (spec, "ALTAIR_FORK_VERSION", "0x0100000100"),
                "blanks": (spec, "ALTAIR_FORK_VERSION", "0x  000001"),
                "a short root": (genesis, "genesis_validators_root", "0x07"),
                "bare hex": (genesis, "genesis_fork_version", "00000001"),
            }[what]
            where["data"][name] = value
            return "network"
    return "finality"


@pytest.mark.parametrize(
    "what",
    [
        "no json", "a name twice", "a float", "deep", "no object", "no version", "unknown fork", "no data",
        "unknown field", "short key", "another size", "bits of another size", "no list", "more than asked",
        "a branch too long", "no seconds", "no slots", "no epochs", "a number", "other digits", "a large number",
        "a long version", "blanks", "a short root", "bare hex",
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused_whole(what: str) -> None:
    canned = Canned()
    who = spoilt(canned, what)
    with pytest.raises(BadAnswer):
        read(canned, who)


def test_a_node_is_reached_over_http_only() -> None:
    with pytest.raises(ChainUnavailable):
        BeaconApi("unix:/tmp/beacon", SIZE)
