"""What people do with the keys of a folder's parties: make, look at, rotate, revoke, bring in.

A party is named `host/alice`, `ledger/alpha`, `relay/alpha-beta`, `attestor/one`. No private key is ever shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lockgate.crypto.keys import IdentityKey, KeyRole
from lockgate.crypto.suites import SUITES
from lockgate.keystore.errors import KeyFileExists, OtherKeystore
from lockgate.keystore.file import read_key_file, write_key_file
from lockgate.keystore.opening import KEY_FILE
from lockgate.keystore.place import FilePlace
from lockgate.keystore.store import Keystore, algorithms_of
from lockgate.keystore.stretch import Passphrase
from lockgate.keystore.whole import make_folder
from lockgate.machine.accounts import account_id
from lockgate.node import attestor, cometbft, exposures, identity, issuing, keystores, ledger, schedule, stopped
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.custody import custody
from lockgate.node.exposure import Exposure, exposure
from lockgate.node.folder import SUITE_ED25519, Folder, NotRunning, writing
from lockgate.node.keystores import KINDS, Choice, Party
from lockgate.node.patience import reached
from lockgate.node.provision import RELAY_KEYS
from lockgate.node.recover import Authority, due_of, operators
from lockgate.node.rotating import FOREIGN, ROTATES, VALIDATOR, NotCovered, Rotation, rotates, silent
from lockgate.node.socket import call
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.storage.host import HostStore

Row = dict[str, Any]
Say = Callable[[str], None]
WANTED: Final[dict[str, Choice]] = {
    "hosts": identity.wanted_keys,
    "ledgers": ledger.wanted_keys,
    "relays": RELAY_KEYS,
    "attestors": attestor.wanted_keys,
    "operators": issuing.wanted_keys,
}
ELSEWHERE: Final = {
    "ledgers": "an endpoint is revoked, a ledger's keys are followed: `lockgate keys rotate`",
    "relays": "an endpoint is revoked, a relayer's key is followed: `lockgate keys rotate`",
    "attestors": "signer sets change by `lockgate attestor rotate`",
    "operators": "the key that issues tokens is replaced by `lockgate token rotate`",
}

UNKNOWN: Final[Row] = {"key": "", "role": "", "suite": 0, "key_id": "", "halves": [], "next_rotation": None}
ROLES: Final = {
    "hosts": {KeyRole.ACCOUNT, KeyRole.IDENTITY, KeyRole.SEALING},
    "ledgers": {KeyRole.VALIDATOR, KeyRole.AUTHORITY, KeyRole.ACCOUNT},
    "relays": {KeyRole.ACCOUNT},
    "attestors": {KeyRole.ATTESTER},
    "operators": {KeyRole.OPERATOR},
}


class NoSuchParty(Refused):
    code = "keys.no_such_party"
    summary = "The folder holds no keys of such a party."
    next_step = "Name one of those that `lockgate keys list` shows, as `host/NAME`."


class NoSuchKey(Refused):
    code = "keys.no_such_key"
    summary = "The party has no key of that name."
    next_step = "Name one of those that `lockgate keys list` shows for it."


class NotFirst(Refused):
    code = "keys.not_first"
    summary = "A host is made of its first keys, and the file has not all of them: they have rotated."
    untouched = "No key was taken over."
    next_step = "Put the host's `endpoint.json` into its folder first, then import the file: it is that host again."


class NotRevoked(Refused):
    code = "keys.not_revoked"
    summary = "The announced revocation came due and was not carried out."
    untouched = "The endpoint is what it was."
    next_step = "Read the cause in the error with `lockgate explain`; an endpoint is revoked once."


def named(folder: Folder, text: str) -> Party:
    """A party by its name; whether it has keys is not asked. Raises NoSuchParty."""
    kind, slash, name = text.partition("/")
    if not slash or f"{kind}s" not in KINDS or not name or name != Path(name).name or name.startswith("."):
        raise NoSuchParty("a party is named KIND/NAME", party=text[:80], kinds=" ".join(k[:-1] for k in KINDS))
    return Party(f"{kind}s", name, folder.root / f"{kind}s" / name)


def existing(folder: Folder, text: str) -> Party:
    """The same of one that has keys. Raises NoSuchParty."""
    party = named(folder, text)
    if not (party.home / KEY_FILE).exists():
        raise NoSuchParty(party=text, folder=str(folder.root))
    return party


def listed(folder: Folder, text: str = "") -> list[Row]:
    """A row for each key, from public records; nothing is opened. `families`: all of them must break first (S86).

    Raises NoSuchParty.
    """
    found = [existing(folder, text)] if text else keystores.parties(folder)
    return [row for party in found for row in _rows(folder, party)]


def _rows(folder: Folder, party: Party) -> list[Row]:
    keys, due = keystores.recorded(party.home).get("keys", {}), _due(party)
    rows = [
        {"party": party.path, "key": name, **facts, "next_rotation": due.get(ledger.base_of(name), due.get(""))}
        for name, facts in sorted(keys.items())
    ] or [{"party": party.path, **UNKNOWN}]  # made before there was a record
    if party.kind == "ledgers" and cometbft.is_cluster(folder, party.name):
        # Its nodes have the keys that sign, as CometBFT keeps them.
        rows = [row for row in rows if ledger.base_of(row["key"]) != VALIDATOR]
        for node in cometbft.nodes_of(folder, party.name):
            key = IdentityKey(SUITE_ED25519, (cometbft.public_key(node),)).key_id
            facts = {"role": KeyRole.VALIDATOR.value, "suite": SUITE_ED25519, "key_id": key.hex()}
            halves = [{"algorithm": SUITES[SUITE_ED25519].name, "where": "cometbft"}]
            named = {"party": party.path, "key": f"{VALIDATOR} {node.index}"}
            rows.append({**named, **facts, "halves": halves, "next_rotation": due.get(VALIDATOR)})
    return [
        {**row, "families": sorted(SUITES[row["suite"]].families) if row["suite"] in SUITES else []} for row in rows
    ]


def _due(party: Party) -> dict[str, int | None]:
    """By key, in seconds since 1970; a host's keys together, without a name."""
    names: tuple[str, ...] = ()
    with contextlib.suppress(LockgateError):
        names = ("",) if party.kind == "hosts" else rotates(party)
    found: dict[str, int | None] = {}
    for name in names:
        at = None
        with contextlib.suppress(LockgateError):  # `doctor` names a record that does not read
            at = schedule.read(party.home, name).due(last_rotation(party, name))
        found[name] = None if at is None else at // NANOS_PER_SECOND
    return found


def shown(folder: Folder, text: str) -> Row:
    """A party's keys as its key file has them, which is opened; a device is asked for each of its halves.

    Raises NoSuchParty, and what the keystore raises: a half that is missing or another is a refusal.
    """
    party = existing(folder, text)
    keystore = _opened(folder, party)
    try:
        keys = {one.name: _described(keystore, one.name) for one in keystore.facts()}
        orphans = list(keystore.orphans(f"{party.home.name}/"))
    finally:
        keystore.close()
    record: Row = {
        "party": party.path,
        "place": str(keystores.place_of(party.home)),
        "custody": [each.sentence() for each in custody(folder, party)],
        "keys": keys,
    }
    return {**record, "unnamed_in_device": orphans} if orphans else record


def made(folder: Folder, text: str, place: str) -> Row:
    """Make a party's first keys in a place. Raises NoSuchParty, KeyFileExists, BadKeystore, what the place raises."""
    party = named(folder, text)
    if (party.home / KEY_FILE).exists():
        raise KeyFileExists(path=party.home / KEY_FILE)
    if place:
        keystores.choose(party.home, place)
    keystores.open_keystore(folder, party.home, WANTED[party.kind]).close()
    return shown(folder, party.path)


def exported(folder: Folder, text: str, name: str = "") -> Row:
    """Public keys, whole, and of a host its signed inception record. Raises NoSuchParty, NoSuchKey."""
    party = existing(folder, text)
    keystore = _opened(folder, party)
    try:
        facts = {one.name: one for one in keystore.facts()}
        if name and name not in facts:
            raise NoSuchKey(party=text, key=name)
        keys = {
            one.name: {
                **keystores.public(one),
                "suite_name": SUITES[one.suite].name,
                "public_keys": {half.algorithm: half.public_key.hex() for half in one.halves},
            }
            for one in facts.values()
            if not name or one.name == name
        }
    finally:
        keystore.close()
    configured = party.home / "endpoint.json"
    if party.kind != "hosts" or name or not configured.exists():
        return {"party": party.path, "keys": keys}
    config = load_config(configured)
    return {"party": party.path, "keys": keys, "endpoint": config.endpoint, "records": list(config.records)}


def imported(folder: Folder, text: str, file: Path, passphrase: Passphrase) -> Row:
    """Take a key file from elsewhere, sealed anew under this folder's passphrase. Never over keys that are there.

    Raises KeyFileExists, NotFirst, OtherKeystore for a file whose keys lie partly in a device, and what reading it
    raises.
    """
    party = named(folder, text)
    if (party.home / KEY_FILE).exists():
        raise KeyFileExists(path=party.home / KEY_FILE)
    if not isinstance(keystores.place_of(party.home), FilePlace):
        raise OtherKeystore("keys are made in a device and not brought into one", party=text)
    keys = read_key_file(file, passphrase)
    if any(key.elsewhere for key in keys.values()):
        raise OtherKeystore("halves of these keys lie in a device", file=str(file))
    roles = {key.role for key in keys.values()}
    if not roles <= ROLES[party.kind]:
        raise NoSuchParty(
            "these are the keys of another kind of party",
            party=text,
            roles=" ".join(sorted(role.value for role in roles)),
        )
    if party.kind == "hosts" and not (party.home / "endpoint.json").exists():
        # A host that is made of a key file is made of its first keys; one that is there knows which it has.
        missing = sorted(identity.FIRST - set(keys))
        if missing:
            raise NotFirst(file=str(file), missing=" ".join(missing), has=" ".join(sorted(keys)))
    with writing(party.home):
        make_folder(party.home)
    write_key_file(party.home / KEY_FILE, keys, folder.passphrase())
    keystore = _opened(folder, party)
    keystores.publish(party.home, keystore)
    keystore.close()
    return shown(folder, party.path)


async def rotate(
    folder: Folder, text: str, key: str = "", sealing: int = 0, say: Say = silent, signing: int = 0
) -> Row:
    """Replace a party's key by the next one on its ledgers; a host's all together, by itself where it runs.

    `sealing` is the seal suite of a host's next sealing key, `signing` the signature suite of the identity of the
    rotation after this one; 0: the one it has.

    Raises NotCovered, NoSuchKey, what the host answers, and what `rotating` and `stopped` raise.
    """
    party = existing(folder, text)
    if party.kind == "hosts":
        try:
            return await call(party.home / "host.sock", "rotate", sealing=sealing, signing=signing)
        except NotRunning:
            if not (party.home / "endpoint.json").exists():
                raise
            say(f"{text} does not run: its next record is posted here, and it takes that up when it starts")
            return await stopped.rotate(folder, party, sealing, signing)
    return await Rotation(folder, party, _rotating(party, key, "rotate"), say).rotate()


async def revoke(folder: Folder, text: str, say: Say) -> Row:
    """Have the ledger's authority revoke a host's endpoint, for good; waits until that stands.

    Raises NotCovered, NotTheAuthority, NotRunning, SetupFailed, NotRevoked.
    """
    party = _host(folder, text, "revoke")
    config = load_config(party.home / "endpoint.json")
    name = config.local.name
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        by = await Authority.of(folder, access)
        done = await by.announce("endpoint.revoke", {"endpoint": bytes.fromhex(config.endpoint)})
        due = due_of(done)
        say(f"announced on {name} at block {done.height.height}; it takes effect at block {due}")
        await reached(access.chain, due + 1)
        events = (await access.chain.block_events(due)).events
        failed = next((event.get("code") for event in events if event.type == "gov_failed"), None)
        revoked = any(e.type == "endpoint_revoked" and e.get("endpoint") == config.endpoint for e in events)
    if not revoked:
        raise NotRevoked("it was dropped", ledger=name, due=due, cause=failed)
    return {"endpoint": config.endpoint, "ledger": name, "announced_at": done.height.height, "revoked_at": due}


async def exposed(folder: Folder, text: str) -> tuple[Row, list[Exposure]]:
    """What decides how long a theft of the party's keys counts, and what it is good for.

    Raises NotCovered, NotInitialised.
    """
    party = existing(folder, text)
    if party.kind == "hosts":
        standing, found = await exposure(folder, party)
        return asdict(standing), found
    if party.kind not in ROTATES:
        raise NotCovered(ELSEWHERE[party.kind], party=text, verb="exposure")
    keys = exposures.standing(folder, party)
    return {each.key: asdict(each) for each in keys}, exposures.exposures(keys)


def scheduled(folder: Folder, text: str, every: str = "", key: str = "") -> Row:
    """A rotation period and the next time; with `every`, set before. Raises NotCovered, NoSuchKey, BadSchedule."""
    party = existing(folder, text)
    key = "" if party.kind == "hosts" else _rotating(party, key, "schedule")
    now = SystemClock().now()
    if every:
        found = schedule.write(party.home, schedule.parse(every, key), now, key)
    else:
        found = schedule.read(party.home, key)
    last = last_rotation(party, key)
    due = found.due(last)
    seconds = {"last_rotation": last, "next_rotation": due}
    shown_s = {name: None if at is None else at // NANOS_PER_SECOND for name, at in seconds.items()}
    named = {"key": key} if key else {}
    return {"party": party.path, **named, "every_s": found.every_s, **shown_s}


def last_rotation(party: Party, key: str) -> UnixNanos | None:
    """When a key was last rotated; a host's without a name."""
    if key:
        return schedule.last_rotation(schedule.Memory(party.home, key))
    if not (party.home / "host.sqlite").exists():
        return None
    store = HostStore.reading(party.home / "host.sqlite")
    try:
        return schedule.last_rotation(store)
    finally:
        store.close()


def _rotating(party: Party, key: str, verb: str) -> str:
    """Which key of a party is meant, of those that rotate. Raises NotCovered, NoSuchKey."""
    names = rotates(party)
    if not names:
        why = FOREIGN if party.kind in ROTATES else ELSEWHERE[party.kind]
        raise NotCovered(why, party=party.path, verb=verb)
    if not key and len(names) == 1:
        return names[0]
    if key not in names:
        raise NoSuchKey("name the key after the party", party=party.path, key=key, keys=" ".join(names))
    return key


def _host(folder: Folder, text: str, verb: str) -> Party:
    party = existing(folder, text)
    if party.kind != "hosts":
        raise NotCovered(ELSEWHERE[party.kind], party=text, verb=verb)
    return party


def _opened(folder: Folder, party: Party) -> Keystore:
    return keystores.open_keystore(folder, party.home, WANTED[party.kind])


def _described(keystore: Keystore, name: str) -> Row:
    """Facts of a key, after its halves were looked up where they lie."""
    one = next(one for one in keystore.facts() if one.name == name)
    facts: Row = {**keystores.public(one), "suite_name": SUITES[one.suite].name}
    if one.role is KeyRole.SEALING:
        keystore.sealing(name)
    elif len(algorithms_of(one.role, one.suite)) > 1:
        keystore.identity(name)
    else:
        public_key = keystore.signer(name).public_key
        if one.role is KeyRole.ACCOUNT:
            facts["account"] = account_id(one.suite, public_key)
    return facts


__all__ = (
    "NoSuchKey",
    "NoSuchParty",
    "NotCovered",
    "NotFirst",
    "NotRevoked",
    "existing",
    "exported",
    "exposed",
    "imported",
    "listed",
    "made",
    "named",
    "revoke",
    "rotate",
    "scheduled",
    "shown",
)
