"""A one-signer ledger's hand-over on real files: killed at any step it goes on, and signs no height twice (P12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.recovery import StoreBehind
from lockgate.engines.embedded.roster import NoSigner
from lockgate.keystore import store as keystore_module
from lockgate.machine import handover
from lockgate.machine.accounts import account_id, next_sequence
from lockgate.machine.authority import authorize
from lockgate.machine.authority import next_sequence as next_number
from lockgate.machine.genesis import Parameters
from lockgate.machine.transaction import SUITE_ED25519, Transaction, sign
from lockgate.node import ledger
from lockgate.node.folder import Folder
from lockgate.node.keystores import changing
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.signstate import SignState, SignStateBroken

DELAY = 2


class Killed(BaseException):
    """The process ends here."""


class World:
    """The files of a ledger, and its process, which may end and start again."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        ledger.create(folder, "alpha", "alpha-1", parameters=Parameters(authority_delay_blocks=DELAY))
        self.chain: EmbeddedChain
        self.store: LedgerStore | None = None
        self.start()

    def start(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None
        self.chain, self.store = ledger.open_chain(self.folder, "alpha", durable=False, accept_clock=True)

    def make_key(self) -> bytes:
        """As the command does before anybody hears of it: the file of what the key has signed, then the key."""
        with changing(self.folder, self.folder.ledger("alpha"), ledger.wanted_keys) as keys:
            index = self.index(keys) + 1
            SignState.open(self.folder.sign_state("alpha", index), fresh=True).close()
            keys.make({ledger.validator_name(index): ledger.LEDGER_KEYS["validator"]})
            signer = keys.signer(ledger.validator_name(index))
        return signer.public_key

    def index(self, keys: Any) -> int:
        """The number of the key that was decided last."""
        (member,) = self.chain.validators_at(self.chain.height + 2).validators
        named = {keys.signer(ledger.validator_name(i)).public_key: i for i in ledger.validator_indices(keys)}
        return named[member.public_key]

    def announce(self) -> None:
        """Have the authority announce the next key, in a block."""
        keys = ledger.ledger_keys(self.folder, "alpha")
        new = keys.signer(ledger.validator_name(self.index(keys) + 1))
        (old,) = self.chain.validators_at(self.chain.height + 2).validators
        domain, view = self.chain.machine.domain, self.chain.view()
        signed = handover.possession_bytes(old.public_key, new.public_key, domain, 1)
        until = UnixSeconds(self.chain.time // NANOS_PER_SECOND + 600)
        fields = {
            "action": handover.ROTATE,
            "arguments": {"public_key": new.public_key, "possession": new.sign(signed)},
        }
        authority, operator = ledger.authority_signer(keys), keys.signer("operator")
        number = next_number(view, authority.key)
        message = authorize(authority, domain, 1, ("gov.announce", fields), number, until)
        transaction = Transaction(
            domain=domain, chain_id="alpha-1", public_key=operator.public_key, nonce_lane=0, fee=0,
            sequence=next_sequence(view, account_id(SUITE_ED25519, operator.public_key), 0),
            valid_until=until, gas_limit=10**6, messages=(message,),
        )  # fmt: skip
        block = self.chain.produce([sign(transaction, 1, operator.sign)])
        result = block.results.transactions[0]
        (newest,) = self.chain.validators_at(self.chain.height + 2).validators
        # What an attempt before had announced may have come due in this very block.
        assert not result.code or newest.public_key == new.public_key, result.log

    def drop_old(self) -> None:
        with changing(self.folder, self.folder.ledger("alpha"), ledger.wanted_keys) as keys:
            keys.drop([ledger.validator_name(i) for i in range(self.index(keys))])

    def hand_over(self) -> None:
        """The whole of it. What was done by an attempt before is found done."""
        target = self.chain.validators_at(self.chain.height + 2).hash
        self.make_key()
        self.announce()
        while self.chain.validators_at(self.chain.height).hash == target:
            self.chain.produce([])
        self.drop_old()

    def signers(self) -> list[bytes]:
        """Who signed each block, as its own commit says."""
        found = []
        for height in range(1, self.chain.height + 1):
            (sig,) = self.chain.signed_header(height).commit.signatures
            found.append(sig.validator_address)
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LOCKGATE_PASSPHRASE", "a long enough passphrase")
    made = World(Folder(tmp_path))
    for _ in range(3):
        made.chain.produce([])
    return made


def test_P12_a_kill_before_and_after_every_lasting_step_is_made_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[P12] Key file, sign-state file, each block's database commit, each signature recorded: enumerated."""
    seen: dict[tuple[str, int], bytes] = {}  # what each key signed, by height: over all lives of the process
    count, stop_at = 0, 0

    def step(do: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **named: Any) -> Any:
            reached()
            done = do(*arguments, **named)
            reached()
            return done

        return stepping

    def reached() -> None:
        nonlocal count
        count += 1
        if count == stop_at:
            raise Killed

    recorded = SignState.record

    def record(state: SignState, height: int, sign_bytes: bytes, signature: bytes) -> None:
        known = seen.setdefault((str(state._path), height), sign_bytes)
        assert known == sign_bytes, "a height was signed twice"
        recorded(state, height, sign_bytes, signature)

    monkeypatch.setattr(SignState, "record", step(record))
    monkeypatch.setattr(SignState, "open", step(SignState.open))
    monkeypatch.setattr(keystore_module, "write_key_file", step(keystore_module.write_key_file))
    monkeypatch.setattr(EmbeddedChain, "_write", step(EmbeddedChain._write))
    killed = 0
    for stop_at in range(1, 200):
        count = 0
        before = world.chain.validators_at(world.chain.height + 2).hash
        try:
            world.hand_over()
        except Killed:
            killed += 1
        else:
            break
        stop_now, stop_at = stop_at, 0
        world.start()
        if world.chain.validators_at(world.chain.height + 2).hash == before:
            world.hand_over()  # the next attempt, on what the one before left
        else:
            for _ in range(3):
                world.chain.produce([])
            world.drop_old()
        stop_at = stop_now
    assert killed > 20
    stop_at = 0
    world.start()
    signers = world.signers()
    runs = [signer for place, signer in enumerate(signers) if not place or signers[place - 1] != signer]
    assert len(set(runs)) == len(runs) > killed // 2, "no key that had handed over signed again"


def test_the_running_ledger_takes_the_key_up_and_a_restart_finds_it(world: World) -> None:
    world.hand_over()
    for _ in range(2):
        world.chain.produce([])
    height = world.chain.height
    world.start()
    world.chain.produce([])
    assert world.chain.height == height + 1
    keys = ledger.ledger_keys(world.folder, "alpha")
    assert ledger.validator_indices(keys) == [1]
    assert SignState.open(world.folder.sign_state("alpha", 1), fresh=False).height == height + 1


def test_P12_what_a_later_key_signed_is_never_taken_for_nothing(world: World) -> None:
    world.hand_over()
    world.folder.sign_state("alpha", 1).unlink()
    with pytest.raises(SignStateBroken):
        world.start()


def test_P12_a_store_from_before_the_hand_over_does_not_start(world: World, tmp_path: Path) -> None:
    """Restored with the key file of today: the new key has signed above it."""
    store = world.folder.ledger("alpha") / "ledger.sqlite"
    assert world.store is not None
    world.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = store.read_bytes()
    world.hand_over()
    world.store.close()
    world.store = None
    for path in store.parent.glob("ledger.sqlite*"):
        path.unlink()
    store.write_bytes(copy)
    with pytest.raises(StoreBehind):
        world.start()


def test_a_key_file_from_before_the_hand_over_signs_nothing(world: World) -> None:
    """Its thief's, too: the ledger says who signs."""
    file = world.folder.ledger("alpha") / "keys"
    copy = file.read_bytes()
    world.hand_over()
    file.write_bytes(copy)
    with pytest.raises(NoSigner):
        world.start()
