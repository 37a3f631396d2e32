"""Carries sealed bulk bodies from host to host (I8): the adapters of `envelope.ports`.

- `shelf`: a folder of sealed blobs, offered until their packets end
- `wire`, `server`, `stream`: byte ranges of blobs over a stream socket; `unix`, `tcp` say which
- `folder`: blobs read out of a folder that both hosts reach; `memory`: both ports in memory
- `address`: `unix:PATH`, `tcp:HOST:PORT`, `folder:PATH` of a host's configuration
- `send`: a file into a sealed blob; `bodies`, `receive`: chunks into a verified private file

Everything runs in constant memory, and nothing here is trusted: chunks are verified as they come.
"""

from lockgate.transport.address import Address, source_at
from lockgate.transport.bodies import Bodies, Receiving
from lockgate.transport.memory import MemoryBlobs
from lockgate.transport.receive import receive
from lockgate.transport.send import seal_file
from lockgate.transport.server import BlobServer
from lockgate.transport.shelf import Shelf

__all__ = (
    "Address",
    "BlobServer",
    "Bodies",
    "MemoryBlobs",
    "Receiving",
    "Shelf",
    "receive",
    "seal_file",
    "source_at",
)
