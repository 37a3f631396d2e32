"""Transactions with which a cluster is measured: signed packets of ours, unsigned pairs of the kvstore's."""

from __future__ import annotations

import time
from typing import Final

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.crypto import ed25519
from lockgate.ibc import wire
from lockgate.ibc.packet import Payload
from lockgate.machine.accounts import account_id
from lockgate.machine.genesis import Genesis
from lockgate.machine.transaction import SUITE_ED25519, Transaction, sign
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds

MESSAGE: Final = 128  # bytes, as in CometBFT's own reports
PORT: Final = "mock"


class Packets:
    """Transactions of ours: each sends packets of MESSAGE bytes; a new account for each connection of a cell."""

    def __init__(self, genesis: Genesis, client: ClientId, each: int = 1) -> None:
        """`each`: packets of one transaction, as whoever has several to send at a time puts them into one."""
        self.genesis, self.client, self.each = genesis, client, each
        self.revision = int(str(genesis.chain_id).rpartition("-")[2])
        self._accounts = 0

    def make(self, connection: int, count: int) -> list[bytes]:
        self._accounts += 1
        key = ed25519.SigningKey(b"connection %8d/%012d" % (self.each, self._accounts))
        signer, timeout = account_id(SUITE_ED25519, key.public_key), UnixSeconds(int(time.time()) + 3_000)
        made = []
        for number_ in range(count):
            messages = []
            for place in range(self.each):
                body = (b"%d/%d/%d " % (self._accounts, number_, place)).ljust(MESSAGE, b".")
                payload = Payload(PORT, PORT, "mock-version", "application/x-protobuf", body)
                message = wire.SendMessage(self.client, timeout, (payload,), signer)
                messages.append((MSG_SEND_PACKET, wire.encode_send(message)))
            transaction = Transaction(
                domain=self.genesis.domain_id,
                chain_id=self.genesis.chain_id,
                public_key=key.public_key,
                nonce_lane=0,
                sequence=number_,
                valid_until=timeout,
                gas_limit=1_000_000 * self.each,
                fee=0,
                messages=tuple(messages),
            )
            made.append(sign(transaction, self.revision, key.sign))
        return made


class Pairs:
    """Transactions of the kvstore: a key of its own and a value of MESSAGE bytes."""

    def __init__(self) -> None:
        self._made = 0

    def make(self, connection: int, count: int) -> list[bytes]:
        self._made += count
        return [
            b"k%d.%d=" % (connection, number_) + b"v" * MESSAGE for number_ in range(self._made - count, self._made)
        ]
