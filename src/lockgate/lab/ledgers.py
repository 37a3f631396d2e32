"""A whole embedded ledger in memory: the real chain, store and signatures, with a simulated clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.crypto import ed25519
from lockgate.crypto.keys import IdentityKey, IdentitySigner, KeyRole
from lockgate.crypto.suites import SIGN_ED25519
from lockgate.engines.embedded.chain import EmbeddedChain, NewBlock
from lockgate.engines.embedded.ports import BlockStore
from lockgate.engines.embedded.roster import LocalValidator
from lockgate.ibc.ports import Application
from lockgate.lab.entropy import seeded_identity_signer
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.machine import accounts
from lockgate.machine import keys as stores
from lockgate.machine.authority import authorize, next_sequence
from lockgate.machine.genesis import Genesis, GenesisValidator, LedgerClass, Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.suite_table import DEFAULT, SuiteTable
from lockgate.machine.transaction import SUITE_ED25519, Message, Transaction, sign
from lockgate.merkle.multistore import MultiStore, StoreProof
from lockgate.primitives.ids import AccountId, ChainId, Height
from lockgate.primitives.ports import Clock
from lockgate.primitives.quick import make
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.storage.blocks import MemoryBlocks
from lockgate.storage.memory import MemoryNodes

VALID_FOR_S = 600


class MemorySigningState:
    """Meets `SigningState` without a disk."""

    def __init__(self) -> None:
        self.height = 0
        self.sign_bytes = b""

    def permit(self, height: int, sign_bytes: bytes, /) -> None:
        assert height > self.height or (height == self.height and sign_bytes == self.sign_bytes)

    def record(self, height: int, sign_bytes: bytes, signature: bytes, /) -> None:
        self.height, self.sign_bytes = height, sign_bytes


@dataclass(slots=True)
class LabAccount:
    """An account with its own count of sequences."""

    key: ed25519.SigningKey
    sequence: int = 0
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = accounts.account_id(SUITE_ED25519, self.key.public_key)

    @property
    def named(self) -> AccountId | None:
        """The account, once its key is another than the one it is the hash of."""
        own = accounts.account_id(SUITE_ED25519, self.key.public_key)
        return None if own == self.id else AccountId(self.id)


def lab_authority(name: str, suite: int = SIGN_ED25519.id) -> IdentitySigner:
    """An authority whose keys anyone who knows the name can make: the lab's only (I13)."""
    return seeded_identity_signer(suite, name.encode().ljust(32, b"\0")[:32], KeyRole.AUTHORITY)


class LabLedger:
    """One ledger. `transact` makes one block with one transaction of the given messages."""

    def __init__(
        self,
        chain_id: str,
        clock: Clock,
        *,
        validators: int = 1,
        spares: int = 0,
        parameters: Parameters | None = None,
        authority: Sequence[IdentityKey] = (),
        applications: Mapping[str, Application] | None = None,
        store: BlockStore | None = None,
        state: MultiStore | None = None,
        seed: str = "",
        suites: SuiteTable = DEFAULT,
    ) -> None:
        """`seed` makes other validator keys: a ledger that only claims the chain id. `spares` are keys that sign
        here once they are validators."""
        seeds = [f"{chain_id}/validator/{seed}{i}".encode().ljust(32, b"\0")[:32] for i in range(validators + spares)]
        every = [ed25519.SigningKey(seed) for seed in seeds]
        keys, self.spares = every[:validators], every[validators:]
        ledger_class = LedgerClass.BFT if validators >= 4 else LedgerClass.OPERATED
        self.genesis = Genesis(
            chain_id=ChainId(chain_id),
            ledger_class=ledger_class,
            time=clock.now(),
            validators=tuple(GenesisValidator(key.public_key, 10) for key in keys),
            authority=tuple(authority),
            parameters=parameters or Parameters(),
            suites=suites,
        )
        self.revision = self.genesis.revision
        self.keys = keys
        self.clerk = LabAccount(ed25519.SigningKey(f"{chain_id}/clerk".encode().ljust(32, b"\0")[:32]))
        self.signing = [MemorySigningState() for _ in every]
        local = [LocalValidator(k.public_key, k.sign, s) for k, s in zip(every, self.signing, strict=True)]
        self.clock = clock
        self.chain = EmbeddedChain(
            self.genesis,
            store or MemoryBlocks(),
            state or MultiStore(stores.STORES, MemoryNodes()),
            local,
            clock,
            applications=applications,
        )
        self.chain.produce([])
        self.chain.produce([])

    @property
    def height(self) -> int:
        return self.chain.height

    def block(self, *transactions: bytes) -> NewBlock:
        return self.chain.produce(transactions)

    def signed(
        self, account: LabAccount, messages: Sequence[Message], *, gas_limit: int = 50_000_000, nonce_lane: int = 0
    ) -> bytes:
        """Sign the account's next transaction. It counts one nonce lane; another is another LabAccount of the key."""
        transaction = Transaction(
            domain=self.chain.machine.domain,
            chain_id=self.genesis.chain_id,
            public_key=account.key.public_key,
            nonce_lane=nonce_lane,
            sequence=account.sequence,
            valid_until=UnixSeconds(self.chain.time // NANOS_PER_SECOND + VALID_FOR_S),
            gas_limit=gas_limit,
            fee=0,
            messages=tuple(messages),
            named=account.named,
        )
        account.sequence += 1
        return sign(transaction, self.revision, account.key.sign)

    def transact(self, account: LabAccount, *messages: Message) -> TxResult:
        """One transaction in a block of its own, and the empty block that carries its root."""
        result = self.block(self.signed(account, messages)).results.transactions[0]
        self.chain.produce([])
        return result

    def authorized(
        self, authority: IdentitySigner, name: str, fields: Mapping[str, Any], *, valid_for_s: int = VALID_FOR_S
    ) -> Message:
        """A governance message as the authority signs it for this ledger, with its next number."""
        sequence = next_sequence(self.chain.view(), authority.key)
        until = UnixSeconds(self.chain.time // NANOS_PER_SECOND + valid_for_s)
        return authorize(authority, self.chain.machine.domain, self.revision, (name, fields), sequence, until)

    def govern(self, authority: IdentitySigner, name: str, fields: Mapping[str, Any]) -> TxResult:
        """Have the authority sign a governance message, and submit it from an account that is nobody's."""
        return self.transact(self.clerk, self.authorized(authority, name, fields))

    def light_block(self, height: int) -> LightBlock:
        return LightBlock(
            self.chain.signed_header(height), self.chain.validators_at(height), self.chain.validators_at(height + 1)
        )

    def prove(self, store: str, key: bytes, at: int) -> StoreProof:
        """Proof for the header of height `at`."""
        return self.chain.state.prove(store, key, at - 1)

    def at(self, height: int) -> Height:
        return make(Height, (self.revision, height))

    def merkle_proof(self, store: str, key: bytes, at: int) -> bytes:
        """`prove(store, key, at).merkle_proof`."""
        return self.chain.state.view(at - 1).merkle_proof(store, key)


def responses(result: TxResult) -> list[bytes]:
    """The response bytes of each message of a successful transaction."""
    return [response.value for response in wire.TxMsgData.FromString(result.data).msg_responses]
