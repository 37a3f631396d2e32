"""The attestors that a deployment makes: once, of one set, and no other number of them later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from lockgate.hosting.config import LedgerRef
from lockgate.node import attestor, company
from lockgate.node.company import NoCompany
from lockgate.node.folder import Folder
from lockgate.node.provision import LedgerAccess
from lockgate.node.spec import LedgerSpec
from tests.support.attestors import fingerprint
from tests.support.relays import Pair

ALPHA = LedgerSpec("alpha", "alpha-1", sources=("http://127.0.0.1:1",), required_sources=1)
BETA = LedgerSpec("beta", "beta-1", client="attested", attestors=3, quorum=2)


@dataclass
class Access:
    """What is asked of a running ledger here: its fingerprint."""

    found: LedgerRef
    name: str = "alpha"
    chain: Any = None

    async def ref(self) -> LedgerRef:
        return self.found


@pytest.fixture
def access() -> LedgerAccess:
    return cast(LedgerAccess, Access(fingerprint(Pair.make().a.ledger)))


def made(folder: Folder, access: LedgerAccess, near: LedgerSpec = BETA) -> company.Company:
    return asyncio.run(company._made(folder, near, ALPHA, access))


def test_they_are_made_once_and_each_accepts_the_same_set(tmp_path: Path, access: LedgerAccess) -> None:
    folder = Folder(tmp_path)
    first = made(folder, access)
    assert made(folder, access) == first
    assert company.names_of(folder, "alpha") == ["alpha-1", "alpha-2", "alpha-3"]
    assert (first.signers.threshold, first.signers.total, first.signers.post_quantum) == (2, 3, True)
    for name, address in zip(company.names_of(folder, "alpha"), first.addresses, strict=True):
        assert attestor.accepted(folder, name) == [first.signers]
        assert address == attestor.address(folder, name)
    followed = company.followed(access, "attested", {"alpha": first})
    assert (followed.by.kind, followed.by.signers, set(followed.updaters)) == ("attested", first.signers, {"attested"})
    assert company.followed(access, "07-tendermint", {}).by.signers is None


def test_a_company_that_is_there_keeps_its_size(tmp_path: Path, access: LedgerAccess) -> None:
    folder = Folder(tmp_path)
    made(folder, access)
    with pytest.raises(NoCompany):
        made(folder, access, replace(BETA, attestors=4))
    assert len(company.names_of(folder, "alpha")) == 3


@pytest.mark.parametrize(("attestors", "quorum"), [(1, 1), (4, 2), (4, 5), (0, 0), (4, -1), ("4", 3), (4, None)])
def test_a_quorum_is_more_than_half_of_several(
    tmp_path: Path, access: LedgerAccess, attestors: Any, quorum: Any
) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(NoCompany):
        made(folder, access, replace(BETA, attestors=attestors, quorum=quorum))
    assert company.names_of(folder, "alpha") == []
