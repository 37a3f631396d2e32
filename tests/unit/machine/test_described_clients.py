"""What a ledger says about its light clients to people: standing, need, and who could forge (P21)."""

from __future__ import annotations

from lockgate.codec import cbor
from lockgate.engines.shared.queries import Queries
from lockgate.lab.paths import expect
from tests.support.composites import RULE, CompositeWorld


def described(w: CompositeWorld) -> dict[str, tuple[object, ...]]:
    answer = Queries(w.a.ledger.chain).answer("/lockgate/clients", b"", 0, False)
    assert answer.code == 0, answer.log
    return {row[0]: row for row in cbor.decode(answer.value)}


def test_every_client_is_described() -> None:
    w = CompositeWorld()
    found = described(w)
    assert list(found) == ["07-tendermint-0", "attested-1", "attested-2", "composite-3"]
    assert {row[2] for row in found.values()} == {"Active"}
    assert {row[3] for row in found.values()} == {"beta-1"}
    assert "2/3 of the validators of beta-1" in str(found["07-tendermint-0"][8])
    assert "3 of the operators operator-10" in str(found["attested-2"][8])
    assert str(found["composite-3"][7]).startswith(RULE)
    assert str(found["composite-3"][8]).count("; or ") == 1, "two smallest sets"


def test_members_that_disagree_do_not_break_the_description() -> None:
    w = CompositeWorld()
    w.b.ledger.block()
    height = w.follow()
    expect(w.attest(w.three, height, root=b"\x02" * 32))
    assert described(w)["composite-3"][5] == 0
    expect(w.agree(height))
    assert described(w)["composite-3"][2] == "Frozen"
