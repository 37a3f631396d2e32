"""No process of the tool leaves a core dump, and none can be attached to by another of its user (S10)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lockgate.cli import main as cli

ASK = """
import ctypes, os, resource
from lockgate.node.hardening import harden
prctl = ctypes.CDLL(None).prctl
print(prctl(3, 0, 0, 0, 0), harden(), prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
child = os.fork()
if not child:
    print(prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_hardened_process_and_its_children_are_not_dumped() -> None:
    done = subprocess.run([sys.executable, "-u", "-c", ASK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["1 True 0 0 0", "0 0 0"]


def test_the_tool_hardens_itself_before_it_reads_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(cli, "harden", lambda: done.append("hardened"))
    monkeypatch.setattr(cli, "app", lambda: done.append("ran"))
    cli.main()
    assert done == ["hardened", "ran"]
