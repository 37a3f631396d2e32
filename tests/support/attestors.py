"""Attestors of a lab ledger, each with a node, a light client and a record of its own; and pairs that rest on them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockgate.courier.attesting import Answer, Request, decode_answer, decode_request, encode_answer, encode_request
from lockgate.hosting.attestor import Attesting, AttestorService, Watched
from lockgate.hosting.config import LedgerRef
from lockgate.hosting.reader import ProvenReader
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import TRUSTING, End, create_client, expect, register
from lockgate.lightclients.attested import ClientState, SignerSet
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.composite import parse
from lockgate.lightclients.composite import states as composite
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.relay.attestors import Attestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.kinds import Updaters
from lockgate.relay.rpc import Calls
from lockgate.relay.updaters.attested import AttestedUpdater
from lockgate.storage.attested import AttestedState
from tests.support.attested_lab import create, create_attested
from tests.support.attesters import attester, ordered, signer
from tests.support.relays import START, Pair

UNTIL = UnixNanos(START + seconds(86_400 * 300))


def set_of(numbers: Sequence[int], threshold: int, epoch: int = 1, until: UnixNanos = UNTIL) -> SignerSet:
    """Signers by number, each an operator and a source of its own."""
    signers = ordered([signer(number, until=until) for number in numbers])
    return SignerSet(epoch=epoch, threshold=threshold, signers=signers)


def state_of(of: LabLedger, signers: SignerSet) -> ClientState:
    return ClientState(
        domain=of.genesis.domain_id,
        chain_id=of.genesis.chain_id,
        signers=signers,
        trusting_period=seconds(86_400 * 14),
        max_clock_drift=seconds(40),
        latest_height=of.at(of.height),
    )


def fingerprint(of: LabLedger, height: int = 2) -> LedgerRef:
    digest = header_hash(of.chain.signed_header(height).header)
    return LedgerRef("watched", of.genesis.chain_id, of.chain.machine.domain.hex(), height, digest.hex())


@dataclass
class Member:
    """One attestor. `spoil` stands between it and whoever asks: it may wait, lie, or not answer."""

    number: int
    service: Attesting
    state: AttestedState
    spoil: Callable[[Request, Attesting], Awaitable[Answer]] | None = None
    asked: list[Request] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"attestor {self.number}"

    async def ask(self, request: Request, /) -> Answer:
        """As over a socket: both ways through the bytes."""
        read = decode_request(encode_request(request)[4:])
        self.asked.append(read)
        if self.spoil is not None:
            answer = await self.spoil(read, self.service)
        else:
            answer = await self.service.answer(read)
        return decode_answer(encode_answer(answer)[4:])


@dataclass
class Company:
    """Attestors of one ledger of a pair."""

    pair: Pair
    of: End
    folder: Path
    signers: SignerSet
    members: dict[int, Member] = field(default_factory=dict)
    accepted: list[SignerSet] = field(default_factory=list)
    client: ClientId = ClientId("")  # the attested client that rests on them
    reports: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @classmethod
    def make(cls, pair: Pair, of: End, folder: Path, count: int = 5, threshold: int = 4) -> Company:
        made = cls(pair, of, folder, set_of(range(count), threshold))
        made.accepted.append(made.signers)
        for number in range(count):
            made.hire(number)
        return made

    def hire(self, number: int, rpc: Calls | None = None) -> Member:
        """One more attestor, or one that starts again over the record it left."""
        ledger = self.of.ledger
        path = self.folder / f"{ledger.genesis.chain_id}-{number}.said"
        if not path.exists():
            AttestedState.create(path, ledger.genesis.domain_id)
        state = AttestedState.open(path, ledger.genesis.domain_id)
        self.members[number] = Member(number, self.service(number, state, rpc), state)
        return self.members[number]

    def service(self, number: int, state: AttestedState, rpc: Calls | None = None, depth: int = 0) -> AttestorService:
        ledger = self.of.ledger
        chain = CometBftChain(rpc or self.pair.rpc(self.of), ledger.genesis.chain_id)
        reader = ProvenReader(chain, fingerprint(ledger).follower(), self.pair.clock)
        watched = Watched(ledger.genesis.chain_id, ledger.genesis.domain_id, chain.revision, depth)
        return AttestorService(
            watched,
            reader,
            attester(number),
            state,
            lambda: self.accepted,
            self.pair.clock,
            lambda kind, fields: self.reports.append((kind, {"by": number, **fields})),
        )

    def attestors(self, ask_s: float = 4.0) -> Attestors:
        """As a relayer of the pair knows them."""
        report = self.pair.reports.append
        return Attestors(list(self.members.values()), lambda kind, fields: report((kind, fields)), ask_s)

    def close(self) -> None:
        for member in self.members.values():
            member.state.close()


def follow_by_attestors(pair: Pair, company: Company) -> None:
    """Have the other ledger follow the company's by its attestors, and that one the other by headers."""
    on = pair.b if company.of is pair.a else pair.a
    create_client(company.of, on.ledger)
    create_attested(on, company.of.ledger, state_of(company.of.ledger, company.signers))
    company.client = on.client
    register(company.of, on.client)
    register(on, company.of.client)


def follow_by_rule(pair: Pair, company: Company, rule: str) -> None:
    """As `follow_by_attestors`, by a rule over such a client and one of headers: `{header}` and `{attested}` in it."""
    on = pair.b if company.of is pair.a else pair.a
    of = company.of.ledger
    create_client(company.of, on.ledger)
    header, attested = End(on.ledger, on.account), End(on.ledger, on.account)
    create_client(header, of)
    create_attested(attested, of, state_of(of, company.signers))
    company.client = attested.client
    seen = of.chain.signed_header(of.height).header
    state = composite.ClientState(
        domain=of.genesis.domain_id,
        chain_id=of.genesis.chain_id,
        rule=parse(rule.format(header=header.client, attested=attested.client)),
        trusting_period=TRUSTING,
        latest_height=of.at(of.height),
    )
    first = composite.encode_consensus_state(composite.ConsensusState(seen.time, seen.app_hash))
    expect(create(on, composite.encode_client_state(state), first))
    register(company.of, on.client)
    register(on, company.of.client)


def attested_relayer(pair: Pair, *companies: Company, name: str = "relayer", ask_s: float = 4.0) -> Relayer:
    """A relayer that asks these attestors."""
    relayer = pair.relayer(name)
    for company in companies:
        end = next(end for end in relayer.ends if end.chain.chain_id == company.of.ledger.genesis.chain_id)
        give(end, company.attestors(ask_s))
    return relayer


def give(end: EndPoint, attestors: Attestors) -> None:
    """Tell a relayer of a ledger's attestors."""
    end.updater = Updaters(end.chain, {"attested": AttestedUpdater(end.chain, attestors)})


@contextlib.contextmanager
def closing(*companies: Company) -> Iterator[None]:
    try:
        yield
    finally:
        for company in companies:
            company.close()


__all__ = (
    "UNTIL",
    "Company",
    "Member",
    "attested_relayer",
    "closing",
    "fingerprint",
    "follow_by_attestors",
    "follow_by_rule",
    "give",
    "set_of",
    "state_of",
)
