"""IBC v2 core (ICS-02, ICS-04 v2, ICS-24), byte for byte as ibc-go v11. Pure: a view in, an outcome out.

- `host`, `packet`, `commitment`, `life`: keys and identifiers, values, hashes, phases of a packet
- `ports`, `router`, `modules`, `wiring`: what handlers are wired with
- `sending`, `receiving`, `execution`, `answering`, `settling`: the life of a packet, step by step
- `runs`: the same for a batch that goes one way, in one pass; it takes what is plainly good and never refuses
- `client`, `counterparty`: client messages and the records of a client pair
- `wire`, `dispatch`, `events`: protobuf messages, by type URL, and what they emit
- `queries` with `client_queries`, `packet_queries`, `paging`: ibc-go's query services
- `outstanding`: the key ranges a relayer reads
- `denom`, `ics20`, `solidity`: names of transferred tokens, transfer data, the ABI form of packets
"""

from lockgate.ibc.dispatch import Dispatched
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, SENTINEL, Acknowledgement, Packet, Payload
from lockgate.ibc.wiring import Wiring

__all__ = (
    "ERROR_ACKNOWLEDGEMENT",
    "SENTINEL",
    "Acknowledgement",
    "Dispatched",
    "Packet",
    "Payload",
    "Wiring",
)
