"""A ledger's parameters as people give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockgate.cli.main import app
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.node import ledger, parameters, up
from lockgate.node.folder import Folder
from lockgate.node.parameters import BadParameters, OtherParameters
from lockgate.node.spec import BadConfig, LedgerSpec, read_spec
from lockgate.primitives.time import seconds

PAIR = """
[[host]]
name = "x"
ledger = "a"
guest = "echo"

[[ledger]]
name = "a"
chain_id = "a-1"

[[ledger]]
name = "b"
chain_id = "b-1"
"""


def test_durations_have_units() -> None:
    given = {"default_grace_ns": "90 s", "max_grace_ns": "2h", "deviation_window_ns": "10min", "inbox_total": 5_000}
    assert parameters.read(given) == Parameters(
        default_grace_ns=seconds(90), max_grace_ns=seconds(7200), deviation_window_ns=seconds(600), inbox_total=5_000
    )


@pytest.mark.parametrize(
    "given",
    [
        {"colour": 1},
        {"deviation_slow_at": "4"},
        {"deviation_slow_at": 4.0},
        {"deviation_slow_at": True},
        {"deviation_window_ns": "an hour"},
        {"deviation_window_ns": "1 week"},
        {"deviation_window_ns": "-1 s"},
        {"deviation_window_ns": "9" * 18 + " d"},
        {"lane_admission_open": 1},
        {"deviation_slow_at": 100},
    ],
)
def test_what_is_no_parameter_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadParameters):
        parameters.read(given)


def test_options_of_the_command_line() -> None:
    found = parameters.options(["inbox_total=20_000", "lane_admission_open=false", "default_grace_ns=30 s"])
    assert parameters.read(found) == Parameters(
        inbox_total=20_000, lane_admission_open=False, default_grace_ns=seconds(30)
    )
    with pytest.raises(BadParameters):
        parameters.options(["inbox_total"])


def test_a_deployment_file_says_them_for_each_ledger(tmp_path: Path) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(PAIR + 'parameters = { deviation_slow_at = 2, deviation_slowed_ns = "20 min" }\n')
    first, second = read_spec(path).ledgers
    assert first.parameters is None
    assert second.parameters == Parameters(deviation_slow_at=2, deviation_slowed_ns=seconds(1200))


@pytest.mark.parametrize("text", ["parameters = 4\n", "parameters = { deviation_slow_at = 0 }\n"])
def test_a_deployment_file_with_others_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.toml"
    path.write_text(PAIR + text)
    with pytest.raises(BadConfig, match=r"table|slowed"):
        read_spec(path)
    path.write_text(PAIR)
    assert read_spec(path)


def test_a_ledger_keeps_the_parameters_it_was_made_with(tmp_path: Path) -> None:
    folder, asked = Folder(tmp_path), Parameters(deviation_slow_at=2)
    up.create_ledger(folder, LedgerSpec("alpha", "alpha-1", parameters=asked))
    up.create_ledger(folder, LedgerSpec("alpha", "alpha-1"))
    assert ledger.create(folder, "alpha", "alpha-1", parameters=asked).parameters == asked
    with pytest.raises(OtherParameters) as refusal:
        ledger.create(folder, "alpha", "alpha-1", parameters=Parameters(deviation_slow_at=3))
    assert refusal.value.fields["parameter"] == "deviation_slow_at"


def test_ledger_create_takes_them(tmp_path: Path) -> None:
    def lockgate(*arguments: str) -> int:
        return CliRunner().invoke(app, ["--data", str(tmp_path), "ledger", "create", *arguments]).exit_code

    assert lockgate("alpha", "alpha-1", "--set", "deviation_freeze_at=2", "--set", "default_grace_ns=5 s") == 0
    genesis = Genesis.from_bytes((tmp_path / "ledgers" / "alpha" / "genesis.cbor").read_bytes())
    assert genesis.parameters == Parameters(deviation_freeze_at=2, default_grace_ns=seconds(5))
    assert lockgate("beta", "beta-1", "--set", "deviation_freeze_at=0") == 3
    assert not (tmp_path / "ledgers" / "beta" / "genesis.cbor").exists()
