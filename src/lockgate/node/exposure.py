"""What a thief of a host's keys can still do, and for how long: computed, not promised (S13).

From the public record of the keys, the host's store and schedule, and its ledger where that runs. What travelled in
sessions no long-term key opens (P18); with `sessions` off, a stolen sealing key opens all that was ever sealed to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lockgate.hosting.rotation import KEPT
from lockgate.keystore.ports import Kind
from lockgate.machine import keys as stores
from lockgate.machine.genesis import Genesis
from lockgate.machine.records import EndpointState
from lockgate.node import schedule
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.keystores import Party, recorded
from lockgate.node.ledgers import Ledgers
from lockgate.node.reserve import reserve_of
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import b64
from lockgate.storage.host import HostStore

DEVICES: Final = (Kind.PKCS11.value, Kind.TPM.value)
SEALED: Final = "sealed to it outside sessions"
NEVER: Final = "for good"


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides how long a theft counts. Times are of the ledger or, for what is due, of this machine."""

    index: int | None  # of the current record, as the ledger says; None where it does not run
    revoked_at: int
    delay_blocks: int | None  # between announcing a revocation and its effect
    next_rotation: UnixNanos | None
    old_keys_until: UnixNanos | None  # when sealing keys of earlier records are erased, where some are held
    open_messages: int  # sent and not ended: their replies are sealed to a record of this host
    apart: bool = False  # the next identity lies elsewhere, and nowhere else


@dataclass(frozen=True, slots=True)
class Exposure:
    """One thing that is stolen: what it is good for, and what ends that."""

    stolen: str
    good_for: str
    until: str


async def exposure(folder: Folder, party: Party) -> tuple[Standing, list[Exposure]]:
    """Raises NotInitialised for a host without a configuration."""
    standing = await _standing(folder, party)
    return standing, exposures(standing, where(party))


def where(party: Party) -> dict[str, set[str]]:
    """Kind of key → the places that hold a part of it."""
    found: dict[str, set[str]] = {}
    for facts in recorded(party.home).get("keys", {}).values():
        found.setdefault(str(facts["role"]), set()).update(str(half["where"]) for half in facts["halves"])
    return found


def exposures(standing: Standing, places: dict[str, set[str]]) -> list[Exposure]:
    """In words, the worst first. A key of which a device holds a part is of no use to who lacks the device."""
    if standing.revoked_at:
        over = f"over: the endpoint is revoked since block {standing.revoked_at}"
        return [Exposure("any key of this endpoint", f"opening recorded bodies {SEALED}", over)]
    rotation = _rotation(standing)
    guarded = {role for role, kinds in places.items() if kinds & set(DEVICES)}
    left = [role for role in ("identity", "sealing", "account") if role not in guarded]
    return [
        _file(standing, left),
        Exposure("the sealing key", f"opening bodies {SEALED}, recorded ones too", f"new bodies: {rotation}"),
        Exposure("the identity key, without the next one", "signing envelopes and handshakes in its name", rotation),
        _account(rotation),
        _root(standing, guarded),
        *([_old(standing)] if standing.old_keys_until is not None else []),
    ]


def _account(rotation: str) -> Exposure:
    # The root that its thief posts is of a state that the host has not, and no key of the host brings it back.
    what = (
        "stopping this endpoint for good, answering and refusing what waits in its inbox, granting others its inbox, "
    )
    what += "filling its list of revoked tokens, spending its balance; no message of its guest"
    stopped = "once it is stopped, `lockgate keys rotate` by hand ends the rest, or a revocation all of it"
    return Exposure("the account", what, f"{rotation}, made while the host runs; {stopped}")


def _file(standing: Standing, left: list[str]) -> Exposure:
    stolen = "the key file and its passphrase"
    if "identity" in left and standing.apart:
        return Exposure(stolen, "acting as this endpoint; rotating it takes the reserve", _rotation(standing))
    if "identity" in left:
        # The next identity lies beside this one, so its thief rotates before the owner does.
        what = "acting as this endpoint, and rotating it to keys of the thief's own"
        return Exposure(stolen, what, f"{_revocation(standing)}; a rotation does not end it")
    if left:
        return Exposure(stolen, f"what the {' and '.join(left)} key is good for; else nothing", _rotation(standing))
    return Exposure(stolen, "nothing without the device", "it is good for nothing now")


def _root(standing: Standing, guarded: set[str]) -> Exposure:
    # With both identities at hand, in a device or not, he has the next record signed that commits to keys of his own.
    what = "all of the above, and rotating it to keys of the thief's own"
    if standing.apart:
        what = "all of the above, and rotating it if the reserve is attached meanwhile"
    if guarded:
        what += f"; no copy of the {' and '.join(sorted(guarded))} key leaves the device"
    return Exposure("the running host, as root", what, _revocation(standing))


def _old(standing: Standing) -> Exposure:
    assert standing.old_keys_until is not None
    at = standing.old_keys_until // NANOS_PER_SECOND
    held = f" and {standing.open_messages} open messages have ended" if standing.open_messages else ""
    return Exposure(
        "sealing keys of earlier records",
        f"opening bodies {SEALED} before the rotation",
        f"erased at {at} (unix){held}",
    )


def _rotation(standing: Standing) -> str:
    if standing.next_rotation is None:
        return f"the next rotation, which is not scheduled: {NEVER} unless one is made"
    return f"the rotation due at {standing.next_rotation // NANOS_PER_SECOND} (unix)"


def _revocation(standing: Standing) -> str:
    if standing.delay_blocks is None:
        return "a revocation stands, the delay of its ledger after it is announced"
    return f"a revocation stands, {standing.delay_blocks} blocks after it is announced"


async def _standing(folder: Folder, party: Party) -> Standing:
    config = load_config(party.home / "endpoint.json")
    genesis = folder.ledger(config.local.name) / "genesis.cbor"
    delay = Genesis.from_bytes(genesis.read_bytes()).parameters.authority_delay_blocks if genesis.exists() else None
    state: EndpointState | None = None
    async with Ledgers(folder) as ledgers:
        ledger = ledgers.found.get(config.local.name)
        if ledger is not None:
            place = stores.endpoint_state(bytes.fromhex(config.endpoint))
            answer: dict[str, Any] = await ledger.chain.query(f"/store/{stores.ENDPOINT}/key", place)
            data = b64(answer.get("value"))
            state = EndpointState.from_bytes(data) if data else None
    last, open_messages = None, 0
    if (party.home / "host.sqlite").exists():
        store = HostStore.reading(party.home / "host.sqlite")
        try:
            last, open_messages = schedule.last_rotation(store), len(store.all_sent("sent"))
        finally:
            store.close()
    roles = [facts["role"] for facts in recorded(party.home).get("keys", {}).values()]
    return Standing(
        index=None if state is None else state.record_index,
        revoked_at=0 if state is None else state.revoked_at,
        delay_blocks=delay,
        next_rotation=schedule.read(party.home).due(last),
        old_keys_until=UnixNanos(last + KEPT) if roles.count("sealing") > 1 and last is not None else None,
        open_messages=open_messages,
        # A reserve that is named while a move was cut off, or a rotation is not settled, keeps nothing apart.
        apart=reserve_of(party.home) is not None and roles.count("identity") == 1,
    )


__all__ = ("Exposure", "Standing", "exposure", "exposures", "where")
