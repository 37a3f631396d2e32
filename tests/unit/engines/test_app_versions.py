"""A ledger runs under the rules it was made under: a build of other ones opens, begins and replays nothing."""

from __future__ import annotations

import pytest

from lockgate.engines.cometbft import application as cometbft
from lockgate.engines.embedded.recovery import recover
from lockgate.engines.embedded.replay import replay
from lockgate.engines.embedded.rpc_values import consensus_params_json
from lockgate.engines.shared import versions
from lockgate.engines.shared.versions import OtherAppVersion
from lockgate.machine.machine import APP_VERSION
from lockgate.storage.memory import MemoryNodes
from tests.support.lab import World as LabWorld
from tests.unit.engines.test_cometbft_application import World, application, ask, begin

LATER = APP_VERSION + 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this is a build of the app version after."""
    monkeypatch.setattr(versions, "APP_VERSION", LATER)
    monkeypatch.setattr(cometbft, "APP_VERSION", LATER)


class Signing:
    """A sign-state that must stay as it is."""

    height = 1
    sign_bytes = b""

    def record(self, *_: object) -> None:
        raise AssertionError("the sign-state was written")


def test_an_embedded_ledger_opens_and_replays_under_its_own_version() -> None:
    ledger = LabWorld.make().a.ledger
    chain = ledger.chain
    recover(ledger.genesis, chain.store, chain.state, [])
    replay(ledger.genesis, chain.store, MemoryNodes(), ledger.height)


def test_an_embedded_ledger_of_another_version_is_neither_opened_nor_replayed(later: None) -> None:
    ledger = LabWorld.make().a.ledger
    chain = ledger.chain
    with pytest.raises(OtherAppVersion) as refused:
        recover(ledger.genesis, chain.store, chain.state, [(ledger.keys[0].public_key, Signing())])  # type: ignore[list-item]
    assert refused.value.fields == {"ledger": APP_VERSION, "build": LATER}
    with pytest.raises(OtherAppVersion):
        replay(ledger.genesis, chain.store, MemoryNodes(), ledger.height)


def test_an_application_opens_again_under_its_own_version() -> None:
    w = World.make()
    w.begun()
    w.play(w.transaction())
    assert application(w.ledger.genesis, w.store).height == w.app.height


def test_an_application_of_another_version_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    w = World.make()
    w.begun()
    w.play(w.transaction())
    monkeypatch.setattr(versions, "APP_VERSION", LATER)
    with pytest.raises(OtherAppVersion) as refused:
        application(w.ledger.genesis, w.store)
    assert refused.value.fields == {"ledger": APP_VERSION, "build": LATER}


def test_an_application_that_was_filled_before_versions_were_noted_does_not_open() -> None:
    w = World.make()
    w.begun()
    w.play(w.transaction())
    with w.store.commit():
        w.store.remove_meta(cometbft.VERSION)
    with pytest.raises(OtherAppVersion) as refused:
        application(w.ledger.genesis, w.store)
    assert refused.value.fields["ledger"] == 0


def test_an_emptied_application_does_not_play_the_blocks_of_another_version(later: None) -> None:
    """Its node has them and the genesis file; the store says nothing."""
    w = World.make()
    with pytest.raises(OtherAppVersion) as refused:
        ask(w.app, init_chain=begin(w.ledger.genesis))
    assert refused.value.fields == {"ledger": APP_VERSION, "build": LATER}
    assert w.app.height == 0


def test_a_genesis_file_without_a_version_begins_nothing() -> None:
    w = World.make()
    request = begin(w.ledger.genesis)
    request.ClearField("consensus_params")
    with pytest.raises(OtherAppVersion):
        ask(w.app, init_chain=request)


def test_genesis_file_node_and_headers_name_one_version() -> None:
    """CometBFT's headers take what the application says when a chain begins."""
    w = World.make()
    given = consensus_params_json(w.ledger.genesis.parameters.max_block_bytes)["version"]["app"]
    said = ask(w.app, info=cometbft.abci.RequestInfo()).info.app_version
    in_headers = w.ledger.chain.signed_header(1).header.version_app
    assert int(given) == said == in_headers == APP_VERSION
