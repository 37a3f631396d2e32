"""The record of a relayer is written by people, too: what is wrong with it is said in words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.node import relay, relay_record
from lockgate.node.doctor import examine
from lockgate.node.folder import Folder, NotInitialised
from lockgate.node.keystores import Party
from lockgate.node.rotating import ACCOUNT, Rotation

PAIR: dict[str, Any] = {"between": ["alpha", "beta"]}


def silent(*_: object) -> None:
    pass


@pytest.mark.parametrize(
    "record",
    [
        [],
        "alpha",
        None,
        {},
        {"between": "alpha"},
        {"between": None},
        {"between": ["alpha"]},
        {"between": ["alpha", "alpha"]},
        {"between": ["alpha", ""]},
        {"between": ["alpha", 7]},
        {"between": ["alpha", "beta", "gamma"]},
        {**PAIR, "witnesses": ["http://one"]},
        {**PAIR, "witnesses": {"alpha": "http://one"}},
        {**PAIR, "witnesses": {"beta": [7]}},
        {**PAIR, "batch_most": "many"},
        {**PAIR, "max_gas_price": [1]},
    ],
)
def test_a_record_that_names_no_pair_is_refused_in_words(tmp_path: Path, record: Any) -> None:
    folder = Folder(tmp_path)
    home = folder.relay("r")
    home.mkdir(parents=True)
    (home / "relay.json").write_text(json.dumps(record))
    for ask in (relay.status, relay.clear):
        with pytest.raises(NotInitialised):
            asyncio.run(asyncio.wait_for(ask(folder, "r"), 5))
    with pytest.raises(NotInitialised):
        asyncio.run(asyncio.wait_for(relay.run(folder, "r", silent), 5))
    asyncio.run(examine(folder))


@pytest.mark.parametrize("record", [[], {}, {"between": "alpha"}])
def test_an_account_of_a_relayer_without_a_pair_is_not_rotated(tmp_path: Path, record: Any) -> None:
    folder = Folder(tmp_path)
    home = folder.relay("r")
    home.mkdir(parents=True)
    (home / "relay.json").write_text(json.dumps(record))
    with pytest.raises(NotInitialised):
        asyncio.run(Rotation(folder, Party("relays", "r", home), ACCOUNT).rotate())


def test_a_record_says_what_it_says() -> None:
    record = {**PAIR, "witnesses": {"alpha": ["http://one"]}, "attestors": {"beta": ["unix:/there"]}}
    assert relay_record.between(record) == ("alpha", "beta")
    assert relay_record.witnesses(record, "alpha") == ("http://one",)
    assert relay_record.witnesses(record, "beta") == relay_record.witnesses(PAIR, "alpha") == ()
    assert relay_record.attestors(record, "beta") == ("unix:/there",)
