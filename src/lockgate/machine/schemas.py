"""Schemas of this package, as `codec.registry` takes them; the CDDL texts are in `cddl/`.

The codecs of the package decide what is valid, alike on every node; the texts say it to everybody else,
and tests hold both together on real bytes.
"""

from __future__ import annotations

from typing import Final

from lockgate.codec.registry import Schema, Version, cddl_text
from lockgate.machine import gas, governance

_V1: Final = Version(1, 0)
_PACKAGE: Final = "lockgate.machine"


def _schema(name: str, *, tags: frozenset[int] = frozenset()) -> Schema:
    return Schema(f"machine/{name}", _V1, cddl_text(name, _V1, package=_PACKAGE), tags=tags)


def _rule(file: str, rule: str, *, tags: frozenset[int] = frozenset()) -> Schema:
    """One rule of a file that has several, as the root."""
    text = cddl_text(file, _V1, package=_PACKAGE)
    return Schema(f"machine/{file}/{rule}", _V1, f"root = {rule}\n{text}", tags=tags)


GENESIS: Final = _schema("genesis")
TRANSACTION: Final = _schema("transaction", tags=frozenset({18}))
TRANSACTION_BODY: Final = _rule("transaction", "transaction-body")
SIGNED_KEY_RECORD: Final = _schema("key-record")
KEY_RECORD: Final = _rule("key-record", "key-record")
MESSAGES: Final = {
    name: _rule("messages", name.replace(".", "-")) for name in gas.PER_MESSAGE if not name.startswith("/")
}
ACTIONS: Final = {name: _rule("governance", name.replace(".", "-")) for name in governance.ACTIONS}
RECORDS: Final = {
    rule: _rule("records", rule)
    for rule in (
        "account",
        "account-keys",
        "authorities",
        "endpoint-state",
        "lane",
        "open-sends",
        "order-stream",
        "order-claim",
        "evidence",
        "settlement",
        "grant",
        "revoked-tokens",
        "entry",
        "reason",
        "open-message",
        "message-id",
        "scheduled",
        "validators",
        "offence",
        "trail",
        "domain",
        "suite-table",
        "suite-stops",
        "suite-policy",
    )
}
SCHEMAS: Final = (
    GENESIS,
    TRANSACTION,
    TRANSACTION_BODY,
    SIGNED_KEY_RECORD,
    KEY_RECORD,
    *MESSAGES.values(),
    *ACTIONS.values(),
    *RECORDS.values(),
)

__all__ = (
    "ACTIONS",
    "GENESIS",
    "KEY_RECORD",
    "MESSAGES",
    "RECORDS",
    "SCHEMAS",
    "SIGNED_KEY_RECORD",
    "TRANSACTION",
    "TRANSACTION_BODY",
)
