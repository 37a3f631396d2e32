"""A deployment as its TOML file says it, with what profiles and defaults fill in."""

from __future__ import annotations

import tomllib
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from lockgate.courier.batches import BATCH_MOST
from lockgate.engines.embedded.retention import KEEP
from lockgate.hosting.config import ARCHIVE_S, BULK_BYTES, EpochLimits
from lockgate.keystore.place import parse as parse_place
from lockgate.machine.genesis import Parameters
from lockgate.machine.records import LaneOrder
from lockgate.node import parameters
from lockgate.node.engine import Engine
from lockgate.node.foreign.spec import ChainSpec, read_chain
from lockgate.node.parameters import BadParameters
from lockgate.node.profiles import Profile, named
from lockgate.node.schedule import parse as parse_period
from lockgate.primitives.errors import Refused
from lockgate.primitives.time import NANOS_PER_SECOND
from lockgate.relay.pairing_kinds import HEADERS, KINDS
from lockgate.session.pair import SEALS_NS
from lockgate.transport.address import Address, BadAddress

KEEP_ALL: Final = "keep"  # of a host's bodies
LONGEST_ARCHIVE_S: Final = 10 * 366 * 86_400


class BadConfig(Refused):
    code = "config.malformed"
    summary = "The configuration file does not describe a deployment."
    untouched = "Nothing was started."
    next_step = "Compare it with docs/reference/configuration.md."


@dataclass(frozen=True, slots=True)
class LedgerSpec:
    name: str
    chain_id: str
    port: int = 0
    heartbeat: float = 5.0
    durable: bool = False
    keep_versions: int = KEEP.versions
    keep_blocks: int = KEEP.blocks
    engine: str = Engine.EMBEDDED
    validators: int = 4  # on CometBFT
    sources: tuple[str, ...] = ()  # further nodes it is read through
    required_sources: int = 0  # how many of all must agree; 0: two where there are several
    client: str = HEADERS  # the kind of client by which this ledger follows the other
    attestors: int = 4  # of the other ledger, where that client rests on some
    quorum: int = 3  # how many of them it needs
    applications: tuple[str, ...] = ()  # on ports beside the endpoints, for lanes to chains that are not ours
    parameters: Parameters | None = None  # of its genesis; None: the defaults, or what it was made with
    keystore: str = ""  # where its keys lie (`keystore.place`); empty: where they are, else in a file
    rotate_every: str = ""  # operator's, authority's and only signer's keys, each by itself; as of a host


@dataclass(frozen=True, slots=True)
class HostSpec:
    name: str
    ledger: str
    guest: str
    peers: tuple[str, ...]  # names of other hosts, by which this host's guest knows them
    bulk_bytes: int = BULK_BYTES  # the longest bulk body it sends or takes
    bulk_total: int = 4 * BULK_BYTES  # of received bodies together
    blobs: tuple[str, ...] = ()  # addresses where it serves its bulk bodies and the others fetch them; none: a socket
    sessions: bool = True  # messages travel in sessions, and no others are taken
    epochs: EpochLimits = EpochLimits()  # after which use a session's keys come of a fresh exchange
    archive: int | str = ARCHIVE_S  # seconds that bodies of ended messages are kept, or KEEP_ALL
    keystore: str = ""  # as of a ledger
    rotate_every: str = ""  # `30 d`; `never`; empty: as it is


@dataclass(frozen=True, slots=True)
class RelaySpec:
    batch_most: int = BATCH_MOST  # packets of one transaction
    keystore: str = ""  # as of a ledger
    rotate_every: str = ""  # its account's key; as of a host


@dataclass(frozen=True, slots=True)
class Spec:
    """A deployment as one TOML file says it; the default has two ledgers and two hosts."""

    ledgers: tuple[LedgerSpec, ...] = (LedgerSpec("alpha", "alpha-1"), LedgerSpec("beta", "beta-1"))
    hosts: tuple[HostSpec, ...] = (
        HostSpec("sender", "alpha", "quote-sender", ("solver",)),
        HostSpec("solver", "beta", "iv-solver", ("sender",)),
    )
    order: LaneOrder = LaneOrder.UNORDERED  # of the lane, when it is opened
    relay: RelaySpec = RelaySpec()
    chains: tuple[ChainSpec, ...] = ()  # that are not ours, each with a lane to one of the ledgers

    def __post_init__(self) -> None:
        names = {spec.name for spec in self.ledgers}
        hosts = {spec.name for spec in self.hosts}
        for ledger in self.ledgers:
            if ledger.engine not in set(Engine):
                raise BadConfig(f"an engine is one of {', '.join(Engine)}", ledger=ledger.name, given=ledger.engine)
            if ledger.applications and ledger.engine != Engine.EMBEDDED:
                raise BadConfig("applications are for ledgers of the embedded engine", ledger=ledger.name)
            if ledger.client not in KINDS:
                raise BadConfig(f"a client is one of {', '.join(KINDS)}", ledger=ledger.name, given=ledger.client)
        few = 1 if self.chains else 2
        if not few <= len(self.ledgers) <= 2 or len(names) != len(self.ledgers) or len(hosts) != len(self.hosts):
            raise BadConfig("a deployment has two ledgers, or one and a chain, and hosts of different names")
        if len(self.ledgers) == 1 and self.hosts:
            raise BadConfig("hosts talk over a lane between two ledgers", host=self.hosts[0].name)
        if len({*names, *(chain.name for chain in self.chains)}) != len(names) + len(self.chains):
            raise BadConfig("chains and ledgers have different names")
        for chain in self.chains:
            if chain.ledger not in names:
                raise BadConfig("a chain names a ledger that is not there", chain=chain.name, ledger=chain.ledger)
        if type(self.relay.batch_most) is not int or not 1 <= self.relay.batch_most <= BATCH_MOST:
            raise BadConfig(f"batch_most is 1 to {BATCH_MOST}", given=str(self.relay.batch_most)[:100])
        places = [ledger.keystore for ledger in self.ledgers] + [host.keystore for host in self.hosts]
        for place in filter(None, (*places, self.relay.keystore)):
            parse_place(place)
        for ledger in self.ledgers:
            if ledger.rotate_every:
                parse_period(ledger.rotate_every, "operator")
        if self.relay.rotate_every:
            parse_period(self.relay.rotate_every, "account")
        for host in self.hosts:
            if host.rotate_every:
                parse_period(host.rotate_every)
            if host.ledger not in names or not set(host.peers) <= hosts - {host.name}:
                raise BadConfig("a host names a ledger or peer that is not there", host=host.name)


ORDERS: Final = {order.name.lower(): order for order in LaneOrder}
DEFAULT_LEDGERS: Final = ({"name": "alpha", "chain_id": "alpha-1"}, {"name": "beta", "chain_id": "beta-1"})
DEFAULT_HOSTS: Final = (
    {"name": "sender", "ledger": "alpha", "guest": "quote-sender", "peers": ("solver",)},
    {"name": "solver", "ledger": "beta", "guest": "iv-solver", "peers": ("sender",)},
)


def read_spec(path: Path | None, profile: str | None = None) -> Spec:
    """Read a TOML file; no file gives the default. What it leaves open is a profile's, the file's own or `profile`.

    Raises BadConfig, BadChain, BadKeystore, BadSchedule, NoSuchProfile.
    """
    try:
        value = {} if path is None else tomllib.loads(path.read_text())
    except OSError as error:
        raise BadConfig("the file cannot be read", file=str(path)) from error
    except ValueError as error:
        raise BadConfig(str(error), file=str(path)) from error
    chosen = named(value.pop("profile", profile or "balanced"))
    try:
        ledgers = tuple(_ledger_spec(item, chosen) for item in value.pop("ledger", DEFAULT_LEDGERS))
        given = value.pop("host", () if len(ledgers) == 1 else DEFAULT_HOSTS)
        hosts = tuple(_host_spec(item, chosen) for item in given)
        chains = tuple(read_chain(item, path) for item in value.pop("chain", ()))
        order = ORDERS[value.pop("order", chosen.deployment.get("order", "unordered"))]
        relay = RelaySpec(**{**chosen.relay, **value.pop("relay", {})})
    except KeyError as error:
        raise BadConfig(f"order is one of {', '.join(ORDERS)}", given=str(error), file=str(path)) from error
    except (TypeError, BadParameters) as error:
        raise BadConfig(str(error), file=str(path)) from error
    if value:
        raise BadConfig("unknown table", table=sorted(value)[0], file=str(path))
    return Spec(ledgers, hosts, order, relay, chains)


def _ledger_spec(item: dict[str, Any], profile: Profile) -> LedgerSpec:
    given = item.get("parameters", {})
    if not isinstance(given, dict):
        raise TypeError("a ledger's parameters are a table")
    profile = named(item["profile"]) if "profile" in item else profile
    said = {**profile.ledger, **item, **{name: tuple(item.get(name, ())) for name in ("sources", "applications")}}
    values = {**profile.parameters, **given}
    said["parameters"] = parameters.read(values) if values else None
    said.pop("profile", None)
    return LedgerSpec(**said)


def _host_spec(item: dict[str, Any], profile: Profile) -> HostSpec:
    limits = EpochLimits(**item.get("epochs", {}))
    lists = {name: tuple(item.get(name, ())) for name in ("peers", "blobs")}
    spec = HostSpec(**{**profile.host, **item, **lists, "epochs": limits})
    for text in spec.blobs:
        address = _address(spec.name, text)
        if address.kind == "tcp" and not address.port:
            raise BadConfig("others must know the port of a host's bulk bodies", host=spec.name, given=text)
    if not all(type(size) is int and size > 0 for size in (spec.bulk_bytes, spec.bulk_total)):
        raise BadConfig("bulk_bytes and bulk_total are positive numbers of bytes", host=spec.name)
    if type(spec.sessions) is not bool:
        raise BadConfig("sessions is true or false", host=spec.name)
    if spec.archive != KEEP_ALL and (type(spec.archive) is not int or not 0 <= spec.archive <= LONGEST_ARCHIVE_S):
        raise BadConfig(f"archive is a number of seconds, ten years at most, or {KEEP_ALL!r}", host=spec.name)
    if not all(type(limit) is int and limit > 0 for limit in astuple(limits)):
        raise BadConfig("limits of an epoch are positive numbers", host=spec.name)
    if limits.age_s * NANOS_PER_SECOND > SEALS_NS:
        raise BadConfig("an epoch is two hours old at most", host=spec.name, age_s=limits.age_s)
    return spec


def _address(host: str, text: object) -> Address:
    try:
        return Address.parse(str(text))
    except BadAddress as error:
        raise BadConfig("blobs are addresses: unix:PATH, tcp:HOST:PORT, folder:PATH", host=host, given=text) from error


def default_of(table: str, name: str) -> Any:
    """The default of a setting, by where it stands in a deployment file."""
    kinds: dict[str, Any] = {
        "ledger": LedgerSpec,
        "ledger.parameters": Parameters,
        "host": HostSpec,
        "relay": RelaySpec,
    }
    if table == "":
        return "unordered"
    return next(item.default for item in fields(kinds[table]) if item.name == name)


__all__ = (
    "BadConfig",
    "HostSpec",
    "LedgerSpec",
    "RelaySpec",
    "Spec",
    "default_of",
    "read_spec",
)
