"""The kinds of light client a ledger runs, and what the machine asks of each. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from lockgate.ibc import host
from lockgate.ibc.client import next_client_number
from lockgate.ibc.modules import ClientModules
from lockgate.ibc.ports import ACTIVE, ClientKind, LightClient
from lockgate.lightclients.attested import AttestedClient
from lockgate.lightclients.composite import CompositeClient
from lockgate.lightclients.ethereum import EthereumClient
from lockgate.lightclients.standing import Affords, is_past, whatever_it_takes
from lockgate.lightclients.subject import MemberProofs, Subject, Triple
from lockgate.lightclients.tendermint import TendermintClient
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds


class ClientModule(LightClient, Protocol):
    """A light client as IBC needs it, with what lanes, evidence and explanations need beside that."""

    @property
    def client_type(self) -> str: ...

    @property
    def client_state_url(self) -> str: ...

    @property
    def consensus_state_url(self) -> str: ...

    def convict(
        self,
        view: View,
        client_id: ClientId,
        message: tuple[str, bytes],
        now: UnixNanos,
        affords: Affords = whatever_it_takes,
    ) -> Outcome | None:
        """Freeze an active client on evidence that froze another, if it convinces this one too (P20).

        Cheap things come first: whether the client holds anything that is contradicted. Before signatures are verified
        `affords` is asked whether so many may be; None where they may not.
        """
        ...

    def rests_on(self, view: View, client_id: ClientId) -> tuple[ClientId, ...]:
        """The clients of this ledger that a joined one compares; none for a single kind (P21)."""
        ...

    def equivocation(self, view: View, client_id: ClientId, misbehaviour: bytes) -> tuple[bytes, bytes] | None:
        """Name two histories that this client's ledger signed, by their hashes; None when it did not (P14)."""
        ...

    def follows(self, client_state: bytes, chain_id: str, domain: bytes) -> Height | None:
        """The latest height of a client state that follows this ledger; None when it follows another (P9)."""
        ...

    def own_consensus(self, timestamp: UnixNanos, root: bytes, next_validators_hash: bytes) -> bytes:
        """The consensus state that a client of this kind holds of a header of this ledger (P9)."""
        ...

    def content(self, consensus_state: bytes) -> tuple[UnixNanos, bytes]:
        """Time and root in a stored consensus state, for whoever compares them with a header of his own."""
        ...

    def subject(self, view: View, client_id: ClientId) -> Subject:
        """Whom the client follows, and on whose word (P21)."""
        ...


class MemberModule(ClientModule, Protocol):
    """A kind whose clients may be members of a composite's rule."""

    def triple_at(self, view: View, client_id: ClientId, height: Height, /) -> Triple | None:
        """What a client holds of a height, if anything (P21)."""
        ...

    def proofs_at(self, view: View, client_id: ClientId, height: Height, /) -> MemberProofs:
        """As `LightClient.proofs_at`, for absence too."""
        ...


LONGEST_PERIOD: Final[DurationNanos] = seconds(60 * 86_400)  # no chain's is; twice it is a third of a year, at which
# a relayer refreshes a client that trusts a header for a whole one
KINDS: Final[tuple[Callable[[], MemberModule], ...]] = (
    TendermintClient,
    AttestedClient,
    EthereumClient,
)


class Clients:
    """All kinds of this ledger, by type."""

    def __init__(self) -> None:
        single = [make() for make in KINDS]
        # Joined kinds come last: what a member was caught at is seen by what rests on it (`equivocation`).
        modules: tuple[ClientModule, ...] = (*single, CompositeClient({each.client_type: each for each in single}))
        self._by_type: Final = {module.client_type: module for module in modules}
        self.kinds: Final = ClientModules(
            ClientKind(
                client_type=module.client_type,
                client_state_url=module.client_state_url,
                consensus_state_url=module.consensus_state_url,
                module=module,
            )
            for module in modules
        )

    def of(self, view: View, client: str) -> ClientModule:
        """The module that answers for a client. Raises BadHostIdentifier or BadClientType."""
        return self._by_type[self.kinds.kind(view, client).client_type]

    def of_type(self, client: str) -> ClientModule | None:
        """The module for a client of another ledger, by its id; None for a kind that we do not have."""
        return self._by_type.get(host.client_type(client))

    def is_lost(self, view: View, client: str, now: UnixNanos) -> bool:
        """Has a client been expired, or frozen, for longer than it trusts a header?

        When it froze is not recorded; what is frozen gets no newer header, so that one's age tells: two periods.
        Whoever makes a client chooses its period, and a century would keep everything without any upkeep: no period
        counts for more than `LONGEST_PERIOD`, and who gets no header for two of those is lost though active. Nodes go
        by this when they prune; no block's result does.
        """
        module = self.of(view, client)
        name = ClientId(client)
        active = module.status(view, name, now) == ACTIVE
        data = view.get(host.STORE, host.consensus_state(client, module.latest_height(view, name)))
        if data is None:
            return True  # nothing can be proven to it, nor can it be brought forward
        period = LONGEST_PERIOD
        if not active:
            period = min(period, module.subject(view, name).trusting_period)
        return is_past(module.content(data)[0], DurationNanos(2 * period), now)

    def every(self, view: View) -> Iterator[tuple[ClientId, ClientModule]]:
        """Every client of the ledger, in the order of creation within each kind, kinds as they are wired."""
        numbers = range(next_client_number(view))
        for name, module in self._by_type.items():
            for number in numbers:
                client = ClientId(f"{name}-{number}")
                if view.get(host.STORE, host.client_state(client)) is not None:
                    yield client, module

    def place(self, one: tuple[ClientId, ClientModule]) -> tuple[int, int]:
        """Sorts clients as `every` names them."""
        client, module = one
        return list(self._by_type).index(module.client_type), int(client.rpartition("-")[2])

    def described(self, view: View, now: UnixNanos) -> list[list[Any]]:
        """Each client as [id, kind, status, chain id, [revision, height], time there, trusting period, needs, forged].

        For people: nobody decides on it. Times are in nanoseconds.
        """
        rows: list[list[Any]] = []
        for client, module in self.every(view):
            subject, height = module.subject(view, client), module.latest_height(view, client)
            try:
                at = int(module.timestamp_at(view, client, height))
            except (PeerFault, Refused):
                at = 0  # the newest state is gone, or members disagree about it: the status says so
            where = [height.revision, height.height]
            status = module.status(view, client, now)
            period = int(subject.trusting_period)
            words = [subject.needs, subject.forged_by]
            rows.append([client, subject.kind, status, subject.chain_id, where, at, period, *words])
        return rows


__all__ = ("KINDS", "LONGEST_PERIOD", "ClientModule", "Clients", "MemberModule")
