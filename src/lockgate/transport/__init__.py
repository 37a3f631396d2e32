"""Links over sockets, and sealed bulk bodies from host to host (I8): the adapters of `envelope.ports`.

- `links`: a link of two parties over a connected socket (`lockgate.session.link`), for blobs or anything else
- `shelf`: a folder of sealed blobs, offered until their packets end
- `wire`, `server`, `stream`: byte ranges of blobs over a stream socket; `unix`, `tcp` say which
- `folder`: blobs read out of a folder that both hosts reach; `memory`: both ports in memory
- `pipe`: a bare socket and a link as one thing; `address`: `unix:PATH`, `tcp:HOST:PORT`, `folder:PATH` of a host's
  configuration, the first two also with links
- `send`: a file into a sealed blob; `bodies`, `receive`: chunks into a verified private file

Everything runs in constant memory, and nothing here is trusted: chunks are verified as they come.
"""

from lockgate.transport.address import Address, source_at
from lockgate.transport.bodies import Bodies, Receiving
from lockgate.transport.links import LinkStream
from lockgate.transport.memory import MemoryBlobs
from lockgate.transport.receive import receive
from lockgate.transport.send import seal_file
from lockgate.transport.server import BlobServer, Linked
from lockgate.transport.shelf import Shelf

__all__ = (
    "Address",
    "BlobServer",
    "Bodies",
    "LinkStream",
    "Linked",
    "MemoryBlobs",
    "Receiving",
    "Shelf",
    "receive",
    "seal_file",
    "source_at",
)
