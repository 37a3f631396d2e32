"""Where blobs are served and fetched, as a host's configuration writes it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lockgate.envelope.ports import BlobSource
from lockgate.primitives.errors import Misuse, Refused
from lockgate.transport import tcp, unix
from lockgate.transport.folder import FolderSource
from lockgate.transport.stream import Link

LINKED: Final = "link+"


class BadAddress(Refused):
    code = "bulk.bad_address"
    summary = "A blob address of the configuration is none: unix:PATH, tcp:HOST:PORT, either after link+, folder:PATH."
    untouched = "Nothing was opened."
    next_step = "Correct it; HOST is a numeric address, and an IPv6 one stands in brackets."


@dataclass(frozen=True, slots=True)
class Address:
    """One place. `kind` is unix, tcp or folder; `where` a path, or a numeric address beside `port`.

    `linked` tells that connections there are links: a handshake, then sealed records.
    """

    kind: str
    where: str
    port: int = 0
    linked: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address. Raises BadAddress."""
        kind, _, rest = text.partition(":")
        linked, kind = kind.startswith(LINKED), kind.removeprefix(LINKED)
        if kind in ({"unix"} if linked else {"unix", "folder"}) and rest.startswith("/"):
            return cls(kind, rest, linked=linked)
        if kind == "tcp":
            host, _, port = rest.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            try:
                number = int(port)
                ipaddress.ip_address(host)
            except ValueError as error:
                raise BadAddress(text) from error
            if 0 <= number <= 0xFFFF:
                return cls(kind, host, number, linked)
        raise BadAddress(text)

    def listen(self) -> socket.socket | None:
        """A listening socket; None for a folder, which needs none."""
        if self.kind == "folder":
            return None
        return unix.listen(Path(self.where)) if self.kind == "unix" else tcp.listen(self.where, self.port)


def source_at(address: Address, link: Link | None = None) -> BlobSource:
    """What fetches a peer's blobs at `address`; `link` is how to meet that peer where connections are links."""
    if address.linked != (link is not None):
        raise Misuse("a link is opened at an address of links, and nowhere else")
    if address.kind == "folder":
        return FolderSource(Path(address.where))
    return (
        unix.source(Path(address.where), link)
        if address.kind == "unix"
        else tcp.source(address.where, address.port, link)
    )


__all__ = ("Address", "BadAddress", "source_at")
