"""A beacon node's light client API: what a sync committee has signed, and where a client may start.

The node is not trusted. What it serves is read strictly and within bounds, and means nothing before a light client
has verified it. Source: ethereum/beacon-APIs, routes below /eth/v1/beacon and /eth/v1/config.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from lockgate.courier.ports import ChainUnavailable
from lockgate.lightclients.ethereum import Bootstrap, Fork, Network, Scheduled, Update, json_form
from lockgate.lightclients.ethereum.containers import ROOT_BYTES
from lockgate.lightclients.ethereum.errors import MalformedBeaconData
from lockgate.lightclients.ethereum.network import MAX_UINT64, VERSION_BYTES
from lockgate.relay.http import HttpFailed, HttpPool, TooLong, origin
from lockgate.relay.rpc import BadAnswer

TIMEOUT_S: Final = 10.0
MAX_ANSWER: Final = json_form.MAX_TEXT
UPDATES_AT_ONCE: Final = 8  # of USUAL_KEYS each: half of what one answer may be
USUAL_KEYS: Final = 512
LIGHT: Final = "/eth/v1/beacon/light_client"
FOUND: Final = 200
UNKNOWN: Final = 404
NEVER: Final = MAX_UINT64  # the epoch of a fork that is not scheduled

_DECIMAL: Final = re.compile(r"[0-9]{1,20}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
T = TypeVar("T")


class BeaconUnknown(ChainUnavailable):
    code = "beacon.unknown"
    summary = "A beacon node does not have what was asked for: not yet, not any more, or not for light clients."
    next_step = "Nothing: it is asked again. A node without the light client API must be told to serve it, or replaced."


class BeaconGet(Protocol):
    """Whatever answers GET requests below a beacon node's address: status and body."""

    async def get(self, target: str) -> tuple[int, bytes]: ...

    async def close(self) -> None: ...


class BeaconApi:
    """Asks one node. `size` is how many keys a sync committee of its network has."""

    def __init__(self, address: str, size: int, *, get: BeaconGet | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """Raises ChainUnavailable for what is no HTTP address."""
        self.address = origin(address)
        self._size = size
        try:
            self._get = get or HttpPool(address, timeout_s=timeout_s, most=MAX_ANSWER)
        except HttpFailed as error:
            raise ChainUnavailable(str(error)) from error

    async def close(self) -> None:
        await self._get.close()

    async def bootstrap(self, root: bytes) -> Bootstrap:
        """Header and committee of a block, by its root. Raises BeaconUnknown, ChainUnavailable, BadAnswer."""
        target = f"{LIGHT}/bootstrap/0x{root.hex()}"
        return _versioned(await self._json(target), lambda data: json_form.bootstrap_from_json(data, self._size))

    async def updates(self, period: int, count: int = 1) -> list[Update]:
        """The best update of each period from `period` on: those that the node has, as many as one answer may hold."""
        count = min(count, UPDATES_AT_ONCE, max(1, UPDATES_AT_ONCE * USUAL_KEYS // self._size))
        found = await self._json(f"{LIGHT}/updates?start_period={period}&count={count}")
        if not isinstance(found, list) or len(found) > count:
            raise BadAnswer("no list of updates, or a longer one than was asked for", node=self.address)
        return [_versioned(each, self._update) for each in found]

    async def finality_update(self) -> Update:
        """The newest header that is final, as it was signed. Raises as `bootstrap`."""
        return _versioned(await self._json(f"{LIGHT}/finality_update"), self._update)

    async def optimistic_update(self) -> Update:
        """The newest header that was signed, final or not. Raises as `bootstrap`."""
        return _versioned(await self._json(f"{LIGHT}/optimistic_update"), self._update)

    async def network(self) -> Network:
        """The chain as the node describes it: to be compared with what its publisher says, not to be trusted (P11)."""
        genesis = _data(await self._json("/eth/v1/beacon/genesis"))
        spec = _data(await self._json("/eth/v1/config/spec"))
        forks = [Scheduled(0, _hex(genesis, "genesis_fork_version", VERSION_BYTES))]
        for fork in list(Fork)[1:]:
            name = f"{fork.name}_FORK_EPOCH"
            epoch = _number(spec, name) if name in spec else NEVER
            if epoch == NEVER:
                break
            forks.append(Scheduled(epoch, _hex(spec, f"{fork.name}_FORK_VERSION", VERSION_BYTES)))
        return Network(
            genesis_validators_root=_hex(genesis, "genesis_validators_root", ROOT_BYTES),
            genesis_time=_number(genesis, "genesis_time"),
            seconds_per_slot=_number(spec, "SECONDS_PER_SLOT", 1),
            slots_per_epoch=_number(spec, "SLOTS_PER_EPOCH", 1),
            epochs_per_period=_number(spec, "EPOCHS_PER_SYNC_COMMITTEE_PERIOD", 1),
            committee_size=_number(spec, "SYNC_COMMITTEE_SIZE", 1),
            forks=tuple(forks),
        )

    def _update(self, data: object) -> Update:
        return json_form.update_from_json(data, self._size)

    async def _json(self, target: str) -> object:
        try:
            status, body = await self._get.get(target)
        except TooLong as error:
            raise BadAnswer("the answer is too long", node=self.address, target=target) from error
        except HttpFailed as error:
            raise ChainUnavailable("the beacon node does not answer", node=self.address, cause=str(error)) from error
        if status == UNKNOWN:
            raise BeaconUnknown(node=self.address, target=target)
        if status != FOUND:
            raise ChainUnavailable("the beacon node answered with a failure", node=self.address, status=status)
        try:
            return json_form.parse(body)
        except MalformedBeaconData as error:
            raise BadAnswer(str(error), node=self.address, target=target) from error


def _versioned(answer: object, read: Callable[[object], T]) -> T:
    """What stands in an answer beside the name of the fork it is written for. Raises BadAnswer."""
    fields = _object(answer)
    named = fields.get("version")
    if not isinstance(named, str) or named.upper() not in Fork.__members__:
        raise BadAnswer("of no fork that is known here", version=named)
    try:
        return read(fields.get("data"))
    except MalformedBeaconData as error:
        raise BadAnswer(str(error)) from error


def _data(answer: object) -> Mapping[str, Any]:
    return _object(_object(answer).get("data"))


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadAnswer("no object where there is one")
    return value


def _number(fields: Mapping[str, Any], name: str, least: int = 0) -> int:
    value = fields.get(name)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or not least <= int(value) <= MAX_UINT64:
        raise BadAnswer("no number where there is one, or one out of range", field=name)
    return int(value)


def _hex(fields: Mapping[str, Any], name: str, size: int) -> bytes:
    value = fields.get(name)
    if not isinstance(value, str) or not _HEX.fullmatch(value) or len(value) != 2 + 2 * size:
        raise BadAnswer("no bytes of the length there is", field=name, size=size)
    return bytes.fromhex(value[2:])


__all__ = ("UPDATES_AT_ONCE", "BeaconApi", "BeaconGet", "BeaconUnknown")
