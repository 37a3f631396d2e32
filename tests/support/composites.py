"""A ledger with three unlike clients of another, and a composite over them: the good world that tests spoil."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lockgate.crypto.suites import SIGN_ED25519
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import TRUSTING, End, create_client, expect, register, update
from lockgate.lightclients.composite import ClientState, ConsensusState, encode_agreement, parse, states
from lockgate.machine.machine import TxResult
from lockgate.primitives.ids import ClientId
from tests.support.attested_lab import attest, attested_state, client_message, create, create_attested
from tests.support.lab import START, account
from tests.support.notes import PORT, Notes

RULE = "07-tendermint-0 AND (attested-1(4/5) OR attested-2)"


class CompositeWorld:
    """Ledger A follows B by headers, by five attesters and by three others, and by a rule over all of these."""

    def __init__(self, rule: str = RULE, *, made: bool = True, suite: int = SIGN_ED25519.id) -> None:
        """`suite` is that of the five attesters."""
        clock = SimulatedClock(START)
        self.clock = clock
        applications = {PORT: Notes()}
        self.b = End(LabLedger("beta-1", clock, applications=applications), account("operator b"))
        a = LabLedger("alpha-1", clock, applications=applications)
        self.a, self.header, self.five, self.three = (
            End(a, account(name)) for name in ("operator a", "header", "five", "three")
        )
        create_client(self.header, self.b.ledger)
        self.five_state = attested_state(self.b.ledger, suite=suite)
        self.three_state = attested_state(self.b.ledger, threshold=3, first=10)
        create_attested(self.five, self.b.ledger, self.five_state)
        create_attested(self.three, self.b.ledger, self.three_state)
        if made:
            expect(self.create(rule))
            self.a.trusted = self.b.ledger.height

    def state(self, rule: str = RULE, **spoilt: Any) -> ClientState:
        of = self.b.ledger
        made = ClientState(
            domain=of.genesis.domain_id,
            chain_id=of.genesis.chain_id,
            rule=parse(rule),
            trusting_period=TRUSTING,
            latest_height=of.at(of.height),
        )
        return replace(made, **spoilt)

    def create(self, rule: str = RULE, *, root: bytes | None = None, **spoilt: Any) -> TxResult:
        header = self.b.ledger.chain.signed_header(self.b.ledger.height).header
        first = ConsensusState(header.time, header.app_hash if root is None else root)
        raw = states.encode_client_state(self.state(rule, **spoilt))
        return create(self.a, raw, states.encode_consensus_state(first))

    def attest(self, which: End, height: int, **spoilt: Any) -> TxResult:
        state = self.five_state if which is self.five else self.three_state
        return attest(which, self.b.ledger, state, height, **spoilt)

    def agree(self, height: int) -> TxResult:
        """Bring the agreement of a height of B."""
        value = encode_agreement(self.b.ledger.at(height))
        result = self.a.ledger.transact(self.a.account, client_message(self.a, states.AGREEMENT, value))
        if not result.code:
            self.a.trusted = max(self.a.trusted, height)
        return result

    def follow(self) -> int:
        """Bring header client, five attesters, and the composite to B's newest height."""
        height = update(self.header, self.b.ledger)
        expect(self.attest(self.five, height))
        expect(self.agree(height))
        return height

    def status(self, client: ClientId | None = None) -> str:
        chain = self.a.ledger.chain
        return chain.machine.packets.kinds.status(chain.view(), client or self.a.client, chain.time)

    def pair(self) -> None:
        """Let B follow A by headers, and name both clients to each other."""
        create_client(self.b, self.a.ledger)
        register(self.a, self.b.client)
        register(self.b, self.a.client)
