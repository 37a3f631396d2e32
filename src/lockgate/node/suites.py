"""The suites of ledgers, as operators see them and a ledger's authority changes them (P16, S61).

Everything is read from a ledger's public queries. An activation or a sunset is announced, and what it makes of the
rules digest is worked out here, so that hosts' operators accept it before it takes effect and nothing stops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lockgate.codec import cbor
from lockgate.crypto.keys import IdentityKey
from lockgate.crypto.suites import SUITES
from lockgate.machine import keys, succession
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.governance import rules_digest
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.machine.records import EndpointState
from lockgate.machine.suite_policy import FIELDS, BadPolicy, SuitePolicy
from lockgate.machine.suite_table import KNOWN, SuiteKind, SuiteName, SuiteTable, name_of
from lockgate.machine.suites import ACTIVATE, LANE, STOP, SUNSET, after, names_of, read_policy, read_stops, read_table
from lockgate.node.folder import Folder
from lockgate.node.ledgers import Ledger
from lockgate.node.provision import lanes_of
from lockgate.node.recover import Authority, due_of, operators
from lockgate.primitives.errors import Refused
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64
from lockgate.session.edhoc.suites import SUITES as CIPHER_SUITES

NEAR_BLOCKS: Final = 20_000  # before a sunset, at which hosts that still use the suite are named: a day of heartbeats
Row = dict[str, Any]
T = TypeVar("T")


class NoSuchLane(Refused):
    code = "node.no_such_lane"
    summary = "No ledger that answers has a lane over this client."
    next_step = "`lockgate lane list` shows every lane with its client."


class NoSuchSuite(Refused):
    code = "node.no_such_suite"
    summary = "The words name no suite that this build knows."
    untouched = "Nothing was announced."
    next_step = "Name a kind and a number as `lockgate ledger suites list` shows them, such as `seal:17`."


@dataclass(frozen=True, slots=True)
class Changed:
    """An announced change: its heights, and the rules digest that it leads to unless another is announced before."""

    announced_at: int
    due: int
    digest: str


@dataclass(frozen=True, slots=True)
class Stands:
    """What a ledger's nodes say of its suites; proven to nobody."""

    written: SuiteTable
    stops: Mapping[SuiteName, int]
    parameters: Parameters
    authorities: tuple[IdentityKey, ...]
    height: int

    @property
    def table(self) -> SuiteTable:
        return self.written.stopped(self.stops)

    @classmethod
    async def of(cls, chain: CometBftChain, genesis: Genesis) -> Stands:
        table = await stored(chain, keys.RULES, keys.RULES_SUITES)
        stops = await stored(chain, keys.RULES, keys.RULES_STOPS)
        parameters: Any = cbor.decode(await stored(chain, keys.RULES, keys.RULES_PARAMETERS))
        authorities = await stored(chain, keys.GOVERNANCE, keys.AUTHORITIES)
        standing = succession.read_standing(authorities or None, genesis).keys
        height = (await chain.tip()).height.height
        written = read_table(table) if table else genesis.suites
        return cls(written, read_stops(stops or None), Parameters.from_cbor(parameters), standing, height)

    def digest_after(self, genesis: Genesis, action: str, name: SuiteName, height: int, due: int) -> str:
        """The rules digest when the action has taken effect."""
        table = after(self.written, self.stops, action, name, height or due, due)
        following = dataclasses.replace(genesis, parameters=self.parameters, suites=table, authority=self.authorities)
        return rules_digest(following, genesis).hex()


def named(text: str) -> SuiteName:
    """Read `KIND:NUMBER`. Raises NoSuchSuite."""
    kind, _, number = text.partition(":")
    try:
        return name_of(kind, int(number))
    except (Refused, ValueError) as error:
        raise NoSuchSuite("not KIND:NUMBER", suite=text) from error


def title(name: SuiteName) -> str:
    """What a suite consists of, in a word or two."""
    if name.kind is not SuiteKind.HANDSHAKE:
        return SUITES[name.number].name
    cipher = CIPHER_SUITES[name.number]
    return f"{'X-Wing' if cipher.post_quantum else 'X25519'}+{cipher.aead.name}"


async def listed(ledgers: Sequence[Ledger]) -> list[Row]:
    """Every suite of every ledger, and whether it is active at its newest block."""
    rows = []
    for ledger in ledgers:
        stands = await Stands.of(ledger.chain, ledger.genesis)
        for name in sorted(KNOWN):
            record = stands.table.find(name)
            rows.append(
                {
                    "ledger": ledger.name,
                    "suite": f"{name.kind}:{name.number}",
                    "name": title(name),
                    "families": sorted(str(family) for family in KNOWN[name]),
                    "state": _state(stands, name),
                    "active_from": 0 if record is None else record.active_from,
                    "sunset": 0 if record is None else record.sunset,
                }
            )
    return rows


def _state(stands: Stands, name: SuiteName) -> str:
    record = stands.table.find(name)
    if record is None:
        return "not there" if name not in stands.stops else "stopped"
    if record.over(stands.height):
        return "stopped" if name in stands.stops else "over"
    return "active" if record.active(stands.height) else "coming"


async def change(by: Authority, action: str, name: SuiteName, height: int) -> Changed:
    """Have the authority announce an activation or a sunset. Raises BadSuiteRecord, SetupFailed."""
    chain, genesis = by.access.chain, by.access.genesis
    stands = await Stands.of(chain, genesis)
    delay = stands.parameters.authority_delay_blocks
    stands.digest_after(genesis, action, name, height, stands.height + delay)  # refused here, in words, if it would be
    done = await by.announce(action, {"kind": name.kind.value, "suite": name.number, "height": height})
    due = due_of(done)
    return Changed(done.height.height, due, stands.digest_after(genesis, action, name, height, due))


async def stop(by: Authority, name: SuiteName, note: str) -> int:
    """Have the authority end a suite at once; returns the height. Raises SetupFailed."""
    done = await by.act(STOP, {"kind": name.kind.value, "suite": name.number, "note": note})
    return done.height.height


async def demand(by: Authority, lane: bytes, fields: Mapping[str, Any]) -> int:
    """Have the authority announce what a lane asks of its suites; returns when that is due. Raises BadPolicy."""
    policy = SuitePolicy.read(dict(fields))
    done = await by.announce(LANE, {"lane": lane, **{name: getattr(policy, name) for name in FIELDS}})
    return due_of(done)


def asked(least: int, families: Sequence[str], only: Sequence[str]) -> dict[str, Any]:
    """What a lane is to ask, in words of the command line. Raises BadPolicy, NoSuchSuite."""
    names = sorted({named(text) for text in only})
    fields = {
        "least": least,
        "families": tuple(sorted(set(families))),
        "only": tuple((name.kind.value, name.number) for name in names),
    }
    SuitePolicy.read(fields)
    return fields


async def demand_on(folder: Folder, ledger: str, client: str, fields: Mapping[str, Any]) -> int:
    """`demand` over the lane of a client. Raises NoSuchLane, NotTheAuthority, NotRunning."""

    async def work(by: Authority) -> int:
        lane = next((one for one in await lanes_of(by.access.chain) if one.local_client == client), None)
        if lane is None:
            raise NoSuchLane("no such lane", client=client, ledgers=ledger)
        return await demand(by, lane.lane_id, fields)

    return await by_authority(folder, ledger, work)


async def by_authority(folder: Folder, ledger: str, work: Callable[[Authority], Awaitable[T]]) -> T:
    """Do something as a ledger's authority. Raises NotTheAuthority, NotRunning."""
    async with operators(folder, [ledger]) as accesses:
        return await work(await Authority.of(folder, accesses[ledger]))


async def policy(chain: CometBftChain, lane: bytes) -> Row:
    """What a lane asks for on this ledger."""
    found = read_policy(await stored(chain, keys.LANE, keys.lane_suites(lane)) or None)
    only = [f"{kind}:{number}" for kind, number in found.only]
    return {"least": found.least, "families": list(found.families), "only": only}


async def endings(ledger: Ledger, endpoint: bytes) -> list[tuple[SuiteName, int]]:
    """Suites of an endpoint's current keys that are over or near their sunset, with the blocks that are left."""
    stands = await Stands.of(ledger.chain, ledger.genesis)
    data = await stored(ledger.chain, keys.ENDPOINT, keys.endpoint_state(endpoint))
    if not data:
        return []
    index = EndpointState.from_bytes(data).record_index
    signed = SignedRecord.from_bytes(await stored(ledger.chain, keys.ENDPOINT, keys.key_record(endpoint, index)))
    found = []
    for name in names_of(KeyRecord.from_body(signed.body)):
        record = stands.table.find(name)
        left = 0 if record is None or not record.active(stands.height) else record.sunset - stands.height
        if record is None or (record.sunset and left < NEAR_BLOCKS) or not record.active(stands.height):
            found.append((name, left))
    return found


async def stored(chain: CometBftChain, store: str, key: bytes) -> bytes:
    """A value as a node says it; empty where there is none."""
    return b64((await chain.query(f"store/{store}/key", key)).get("value"))


__all__ = (
    "ACTIVATE",
    "NEAR_BLOCKS",
    "SUNSET",
    "BadPolicy",
    "Changed",
    "NoSuchLane",
    "NoSuchSuite",
    "asked",
    "by_authority",
    "change",
    "demand",
    "demand_on",
    "endings",
    "listed",
    "named",
    "policy",
    "stop",
    "title",
)
