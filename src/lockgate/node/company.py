"""The attestors of a deployment: made, put into one signer set, and started, for each ledger that is followed by some.

All of them run in one tree of processes for one person: that is a company for trying things out, and says so in
the names of its set. A set whose operators are several is composed by them (`docs/how-to/attest.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.states import CLIENT_TYPE
from lockgate.node import attestor, signer_sets
from lockgate.node.folder import Folder
from lockgate.node.patience import together
from lockgate.node.processes import Deployment
from lockgate.node.provision import Followed, LedgerAccess
from lockgate.node.recover import operators
from lockgate.primitives.errors import Refused
from lockgate.relay.attestors import Attestor, Attestors
from lockgate.relay.pairing_kinds import HEADERS, Following
from lockgate.relay.updaters.attested import AttestedUpdater

FIRST_EPOCH = 1


class NoCompany(Refused):
    code = "node.no_company"
    summary = "The attestors of a deployment are not as its file says, or too few of them are needed."
    untouched = "Nothing was started."
    next_step = "A quorum is more than half of two attestors or more; a company that is there keeps its size."


class Stated(Protocol):
    """What a deployment file says of a ledger that is of interest here."""

    @property
    def name(self) -> str: ...

    @property
    def client(self) -> str: ...

    @property
    def attestors(self) -> int: ...

    @property
    def quorum(self) -> int: ...

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def required_sources(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Company:
    """The attestors of one ledger: who they are, and where."""

    signers: SignerSet
    addresses: tuple[str, ...]


async def start(
    folder: Folder, ledgers: Sequence[Stated], processes: Deployment, say: Callable[[str], None]
) -> dict[str, Company]:
    """Attestors of each ledger that the other follows by some, by its name: made where they are not there, running."""
    found: dict[str, Company] = {}
    wanted = [(near, far) for near, far in zip(ledgers, ledgers[::-1], strict=True) if near.client != HEADERS]
    if not wanted:
        return found
    say("attestors")
    async with operators(folder, [ledger.name for ledger in ledgers]) as accesses:
        for near, far in wanted:
            found[far.name] = await _made(folder, near, far, accesses[far.name])
    names = [name for _, far in wanted for name in names_of(folder, far.name)]
    await together(*(processes.start(f"attestor {name}", "attestor", "run", name) for name in names))
    return found


def names_of(folder: Folder, ledger: str) -> list[str]:
    """The attestors of a ledger in this folder that a deployment made."""
    return [name for name in folder.names("attestors") if name.rpartition("-")[0] == ledger]


def followed(access: LedgerAccess, kind: str, attested: Mapping[str, Company]) -> Followed:
    """How a ledger is followed by the other, and what brings that client forward."""
    if kind == HEADERS:
        return Followed()
    company = attested[access.name]
    attestors = Attestors([Attestor(each) for each in company.addresses], lambda *_: None)
    updaters = {CLIENT_TYPE: AttestedUpdater(access.chain, attestors)}
    return Followed(Following(kind, company.signers), updaters)


async def _made(folder: Folder, near: Stated, far: Stated, access: LedgerAccess) -> Company:
    """The attestors of `far` as `near` says. Raises NoCompany, SignersRefused."""
    names = names_of(folder, far.name)
    if not names:
        count, quorum = near.attestors, near.quorum
        if type(count) is not int or type(quorum) is not int or not (count >= 2 and count < 2 * quorum <= 2 * count):
            raise NoCompany(ledger=near.name, attestors=count, quorum=quorum)
        names = [f"{far.name}-{number}" for number in range(1, near.attestors + 1)]
        ref = replace(await access.ref(), sources=far.sources, required=far.required_sources)
        members = []
        for name in names:
            attestor.create(folder, name, ref)
            members.append(attestor.member(folder, name, f"deployment attestor {name}", f"light client of {name}"))
        signers = signer_sets.compose(FIRST_EPOCH, near.quorum, members)
        for name in names:
            attestor.accept(folder, name, signers)
    accepted = {each.hash: each for name in names for each in attestor.accepted(folder, name)}
    first = [each for each in accepted.values() if each.epoch == FIRST_EPOCH]
    if len(first) != 1 or len(names) != near.attestors:
        raise NoCompany("there are others of this ledger", ledger=far.name, found=len(names), asked=near.attestors)
    return Company(first[0], tuple(attestor.address(folder, name) for name in names))


__all__ = ("Company", "NoCompany", "followed", "names_of", "start")
