from google.protobuf import any_pb2 as _any_pb2
from lockgate.codec.wire import ibc_channel_pb2 as _ibc_channel_pb2
from lockgate.codec.wire import ibc_client_pb2 as _ibc_client_pb2
from lockgate.codec.wire import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PageRequest(_message.Message):
    __slots__ = ("key", "offset", "limit", "count_total", "reverse")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    COUNT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    offset: int
    limit: int
    count_total: bool
    reverse: bool
    def __init__(self, key: _Optional[bytes] = ..., offset: _Optional[int] = ..., limit: _Optional[int] = ..., count_total: _Optional[bool] = ..., reverse: _Optional[bool] = ...) -> None: ...

class PageResponse(_message.Message):
    __slots__ = ("next_key", "total")
    NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    next_key: bytes
    total: int
    def __init__(self, next_key: _Optional[bytes] = ..., total: _Optional[int] = ...) -> None: ...

class QueryClientStateRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryClientStateResponse(_message.Message):
    __slots__ = ("client_state", "proof", "proof_height")
    CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    client_state: _any_pb2.Any
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryClientStatesRequest(_message.Message):
    __slots__ = ("pagination",)
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    pagination: PageRequest
    def __init__(self, pagination: _Optional[_Union[PageRequest, _Mapping]] = ...) -> None: ...

class QueryClientStatesResponse(_message.Message):
    __slots__ = ("client_states", "pagination")
    CLIENT_STATES_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    client_states: _containers.RepeatedCompositeFieldContainer[_ibc_client_pb2.IdentifiedClientState]
    pagination: PageResponse
    def __init__(self, client_states: _Optional[_Iterable[_Union[_ibc_client_pb2.IdentifiedClientState, _Mapping]]] = ..., pagination: _Optional[_Union[PageResponse, _Mapping]] = ...) -> None: ...

class QueryConsensusStateRequest(_message.Message):
    __slots__ = ("client_id", "revision_number", "revision_height", "latest_height")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REVISION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LATEST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    revision_number: int
    revision_height: int
    latest_height: bool
    def __init__(self, client_id: _Optional[str] = ..., revision_number: _Optional[int] = ..., revision_height: _Optional[int] = ..., latest_height: _Optional[bool] = ...) -> None: ...

class QueryConsensusStateResponse(_message.Message):
    __slots__ = ("consensus_state", "proof", "proof_height")
    CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    consensus_state: _any_pb2.Any
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, consensus_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryConsensusStatesRequest(_message.Message):
    __slots__ = ("client_id", "pagination")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    pagination: PageRequest
    def __init__(self, client_id: _Optional[str] = ..., pagination: _Optional[_Union[PageRequest, _Mapping]] = ...) -> None: ...

class QueryConsensusStatesResponse(_message.Message):
    __slots__ = ("consensus_states", "pagination")
    CONSENSUS_STATES_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    consensus_states: _containers.RepeatedCompositeFieldContainer[_ibc_client_pb2.ConsensusStateWithHeight]
    pagination: PageResponse
    def __init__(self, consensus_states: _Optional[_Iterable[_Union[_ibc_client_pb2.ConsensusStateWithHeight, _Mapping]]] = ..., pagination: _Optional[_Union[PageResponse, _Mapping]] = ...) -> None: ...

class QueryConsensusStateHeightsRequest(_message.Message):
    __slots__ = ("client_id", "pagination")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    pagination: PageRequest
    def __init__(self, client_id: _Optional[str] = ..., pagination: _Optional[_Union[PageRequest, _Mapping]] = ...) -> None: ...

class QueryConsensusStateHeightsResponse(_message.Message):
    __slots__ = ("consensus_state_heights", "pagination")
    CONSENSUS_STATE_HEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    consensus_state_heights: _containers.RepeatedCompositeFieldContainer[_ibc_client_pb2.Height]
    pagination: PageResponse
    def __init__(self, consensus_state_heights: _Optional[_Iterable[_Union[_ibc_client_pb2.Height, _Mapping]]] = ..., pagination: _Optional[_Union[PageResponse, _Mapping]] = ...) -> None: ...

class QueryClientStatusRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryClientStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: str
    def __init__(self, status: _Optional[str] = ...) -> None: ...

class QueryClientParamsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryClientParamsResponse(_message.Message):
    __slots__ = ("params",)
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    params: _ibc_client_pb2.Params
    def __init__(self, params: _Optional[_Union[_ibc_client_pb2.Params, _Mapping]] = ...) -> None: ...

class QueryClientCreatorRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryClientCreatorResponse(_message.Message):
    __slots__ = ("creator",)
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    creator: str
    def __init__(self, creator: _Optional[str] = ...) -> None: ...

class QueryUpgradedClientStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryUpgradedClientStateResponse(_message.Message):
    __slots__ = ("upgraded_client_state",)
    UPGRADED_CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    upgraded_client_state: _any_pb2.Any
    def __init__(self, upgraded_client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class QueryUpgradedConsensusStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryUpgradedConsensusStateResponse(_message.Message):
    __slots__ = ("upgraded_consensus_state",)
    UPGRADED_CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    upgraded_consensus_state: _any_pb2.Any
    def __init__(self, upgraded_consensus_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class QueryCounterpartyInfoRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryCounterpartyInfoResponse(_message.Message):
    __slots__ = ("counterparty_info",)
    COUNTERPARTY_INFO_FIELD_NUMBER: _ClassVar[int]
    counterparty_info: _ibc_client_pb2.CounterpartyInfo
    def __init__(self, counterparty_info: _Optional[_Union[_ibc_client_pb2.CounterpartyInfo, _Mapping]] = ...) -> None: ...

class QueryConfigRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _ibc_client_pb2.Config
    def __init__(self, config: _Optional[_Union[_ibc_client_pb2.Config, _Mapping]] = ...) -> None: ...

class QueryNextSequenceSendRequest(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class QueryNextSequenceSendResponse(_message.Message):
    __slots__ = ("next_sequence_send", "proof", "proof_height")
    NEXT_SEQUENCE_SEND_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    next_sequence_send: int
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, next_sequence_send: _Optional[int] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryPacketCommitmentRequest(_message.Message):
    __slots__ = ("client_id", "sequence")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequence: int
    def __init__(self, client_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class QueryPacketCommitmentResponse(_message.Message):
    __slots__ = ("commitment", "proof", "proof_height")
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    commitment: bytes
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, commitment: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryPacketCommitmentsRequest(_message.Message):
    __slots__ = ("client_id", "pagination")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    pagination: PageRequest
    def __init__(self, client_id: _Optional[str] = ..., pagination: _Optional[_Union[PageRequest, _Mapping]] = ...) -> None: ...

class QueryPacketCommitmentsResponse(_message.Message):
    __slots__ = ("commitments", "pagination", "height")
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    commitments: _containers.RepeatedCompositeFieldContainer[_ibc_channel_pb2.PacketState]
    pagination: PageResponse
    height: _ibc_client_pb2.Height
    def __init__(self, commitments: _Optional[_Iterable[_Union[_ibc_channel_pb2.PacketState, _Mapping]]] = ..., pagination: _Optional[_Union[PageResponse, _Mapping]] = ..., height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryPacketAcknowledgementRequest(_message.Message):
    __slots__ = ("client_id", "sequence")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequence: int
    def __init__(self, client_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class QueryPacketAcknowledgementResponse(_message.Message):
    __slots__ = ("acknowledgement", "proof", "proof_height")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: bytes
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, acknowledgement: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryPacketAcknowledgementsRequest(_message.Message):
    __slots__ = ("client_id", "pagination", "packet_commitment_sequences")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    PACKET_COMMITMENT_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    pagination: PageRequest
    packet_commitment_sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, client_id: _Optional[str] = ..., pagination: _Optional[_Union[PageRequest, _Mapping]] = ..., packet_commitment_sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class QueryPacketAcknowledgementsResponse(_message.Message):
    __slots__ = ("acknowledgements", "pagination", "height")
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    acknowledgements: _containers.RepeatedCompositeFieldContainer[_ibc_channel_pb2.PacketState]
    pagination: PageResponse
    height: _ibc_client_pb2.Height
    def __init__(self, acknowledgements: _Optional[_Iterable[_Union[_ibc_channel_pb2.PacketState, _Mapping]]] = ..., pagination: _Optional[_Union[PageResponse, _Mapping]] = ..., height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryPacketReceiptRequest(_message.Message):
    __slots__ = ("client_id", "sequence")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequence: int
    def __init__(self, client_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class QueryPacketReceiptResponse(_message.Message):
    __slots__ = ("received", "proof", "proof_height")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    received: bool
    proof: bytes
    proof_height: _ibc_client_pb2.Height
    def __init__(self, received: _Optional[bool] = ..., proof: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryUnreceivedPacketsRequest(_message.Message):
    __slots__ = ("client_id", "sequences")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, client_id: _Optional[str] = ..., sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class QueryUnreceivedPacketsResponse(_message.Message):
    __slots__ = ("sequences", "height")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    height: _ibc_client_pb2.Height
    def __init__(self, sequences: _Optional[_Iterable[int]] = ..., height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...

class QueryUnreceivedAcksRequest(_message.Message):
    __slots__ = ("client_id", "packet_ack_sequences")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PACKET_ACK_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    packet_ack_sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, client_id: _Optional[str] = ..., packet_ack_sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class QueryUnreceivedAcksResponse(_message.Message):
    __slots__ = ("sequences", "height")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    height: _ibc_client_pb2.Height
    def __init__(self, sequences: _Optional[_Iterable[int]] = ..., height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ...) -> None: ...
