"""One side of an EDHOC exchange by lakers, in a process and an environment of its own: a line of JSON in, one out.

Nothing of Lockgate is imported here. Byte strings travel in hexadecimal; a failure is answered as `{"error": …}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import lakers


class Side:
    """The newest exchange of this process."""

    def __init__(self) -> None:
        self.one: Any = None

    def first(self, c_i: str, ead: list[Any] | None = None) -> dict[str, str]:
        self.one = lakers.EdhocInitiator()
        return {"message": self.one.prepare_message_1(bytes.fromhex(c_i), items(ead)).hex()}

    def third(self, message: str, key: str, own: str, peer: str, *, whole: bool = False) -> dict[str, Any]:
        c_r, id_cred, eads = self.one.parse_message_2(bytes.fromhex(message))
        held = lakers.Credential(bytes.fromhex(peer))
        found = lakers.credential_check_or_fetch(id_cred, held)
        self.one.verify_message_2(bytes.fromhex(key), lakers.Credential(bytes.fromhex(own)), found)
        third, _ = self.one.prepare_message_3(transfer(whole))
        return {"message": third.hex(), "c_r": bytes(c_r).hex(), "eads": told(eads)}

    def done(self, message: str) -> dict[str, Any]:
        self.one.process_message_4(bytes.fromhex(message))
        return {}

    def second(self, message: str, key: str, own: str, c_r: str, *, whole: bool = False) -> dict[str, Any]:
        self.one = lakers.EdhocResponder(bytes.fromhex(key), lakers.Credential(bytes.fromhex(own)))
        _, eads = self.one.process_message_1(bytes.fromhex(message))
        second = self.one.prepare_message_2(transfer(whole), bytes.fromhex(c_r))
        return {"message": second.hex(), "eads": told(eads)}

    def fourth(self, message: str, peer: str) -> dict[str, str]:
        id_cred, _ = self.one.parse_message_3(bytes.fromhex(message))
        held = lakers.Credential(bytes.fromhex(peer))
        self.one.verify_message_3(lakers.credential_check_or_fetch(id_cred, held))
        return {"message": self.one.prepare_message_4().hex()}

    def export(self, label: int, context: str, length: int) -> dict[str, str]:
        return {"secret": bytes(self.one.edhoc_exporter(label, bytes.fromhex(context), length)).hex()}

    def update(self, context: str) -> dict[str, str]:
        self.one.edhoc_key_update(bytes.fromhex(context))
        return {}


def transfer(whole: bool) -> Any:
    return lakers.CredentialTransfer.ByValue if whole else lakers.CredentialTransfer.ByReference


def items(ead: list[Any] | None) -> list[Any]:
    """One item of authorisation data: label, whether it is critical, value."""
    return [] if ead is None else [lakers.EADItem(ead[0], ead[1], bytes.fromhex(ead[2]))]


def told(eads: Any) -> list[Any]:
    return [[each.label(), each.is_critical(), (each.value() or b"").hex()] for each in eads]


def main() -> None:
    side = Side()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(side, asked.pop("do"))(**asked)
        except BaseException as error:  # a ValueError, or a panic of the compiled module, which is no Exception
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
