from lockgate.codec.wire import ibc_client_pb2 as _ibc_client_pb2
from lockgate.codec.wire import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PacketStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACKET_STATUS_UNSPECIFIED: _ClassVar[PacketStatus]
    PACKET_STATUS_SUCCESS: _ClassVar[PacketStatus]
    PACKET_STATUS_FAILURE: _ClassVar[PacketStatus]
    PACKET_STATUS_ASYNC: _ClassVar[PacketStatus]

class ResponseResultType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESPONSE_RESULT_TYPE_UNSPECIFIED: _ClassVar[ResponseResultType]
    RESPONSE_RESULT_TYPE_NOOP: _ClassVar[ResponseResultType]
    RESPONSE_RESULT_TYPE_SUCCESS: _ClassVar[ResponseResultType]
    RESPONSE_RESULT_TYPE_FAILURE: _ClassVar[ResponseResultType]
PACKET_STATUS_UNSPECIFIED: PacketStatus
PACKET_STATUS_SUCCESS: PacketStatus
PACKET_STATUS_FAILURE: PacketStatus
PACKET_STATUS_ASYNC: PacketStatus
RESPONSE_RESULT_TYPE_UNSPECIFIED: ResponseResultType
RESPONSE_RESULT_TYPE_NOOP: ResponseResultType
RESPONSE_RESULT_TYPE_SUCCESS: ResponseResultType
RESPONSE_RESULT_TYPE_FAILURE: ResponseResultType

class Packet(_message.Message):
    __slots__ = ("sequence", "source_client", "destination_client", "timeout_timestamp", "payloads")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_CLIENT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    source_client: str
    destination_client: str
    timeout_timestamp: int
    payloads: _containers.RepeatedCompositeFieldContainer[Payload]
    def __init__(self, sequence: _Optional[int] = ..., source_client: _Optional[str] = ..., destination_client: _Optional[str] = ..., timeout_timestamp: _Optional[int] = ..., payloads: _Optional[_Iterable[_Union[Payload, _Mapping]]] = ...) -> None: ...

class Payload(_message.Message):
    __slots__ = ("source_port", "destination_port", "version", "encoding", "value")
    SOURCE_PORT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_PORT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    source_port: str
    destination_port: str
    version: str
    encoding: str
    value: bytes
    def __init__(self, source_port: _Optional[str] = ..., destination_port: _Optional[str] = ..., version: _Optional[str] = ..., encoding: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("app_acknowledgements",)
    APP_ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    app_acknowledgements: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, app_acknowledgements: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RecvPacketResult(_message.Message):
    __slots__ = ("status", "acknowledgement")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    status: PacketStatus
    acknowledgement: bytes
    def __init__(self, status: _Optional[_Union[PacketStatus, str]] = ..., acknowledgement: _Optional[bytes] = ...) -> None: ...

class MsgSendPacket(_message.Message):
    __slots__ = ("source_client", "timeout_timestamp", "payloads", "signer")
    SOURCE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    source_client: str
    timeout_timestamp: int
    payloads: _containers.RepeatedCompositeFieldContainer[Payload]
    signer: str
    def __init__(self, source_client: _Optional[str] = ..., timeout_timestamp: _Optional[int] = ..., payloads: _Optional[_Iterable[_Union[Payload, _Mapping]]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgSendPacketResponse(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class MsgRecvPacket(_message.Message):
    __slots__ = ("packet", "proof_commitment", "proof_height", "signer")
    PACKET_FIELD_NUMBER: _ClassVar[int]
    PROOF_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    packet: Packet
    proof_commitment: bytes
    proof_height: _ibc_client_pb2.Height
    signer: str
    def __init__(self, packet: _Optional[_Union[Packet, _Mapping]] = ..., proof_commitment: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgRecvPacketResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ResponseResultType
    def __init__(self, result: _Optional[_Union[ResponseResultType, str]] = ...) -> None: ...

class MsgTimeout(_message.Message):
    __slots__ = ("packet", "proof_unreceived", "proof_height", "signer")
    PACKET_FIELD_NUMBER: _ClassVar[int]
    PROOF_UNRECEIVED_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    packet: Packet
    proof_unreceived: bytes
    proof_height: _ibc_client_pb2.Height
    signer: str
    def __init__(self, packet: _Optional[_Union[Packet, _Mapping]] = ..., proof_unreceived: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgTimeoutResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ResponseResultType
    def __init__(self, result: _Optional[_Union[ResponseResultType, str]] = ...) -> None: ...

class MsgAcknowledgement(_message.Message):
    __slots__ = ("packet", "acknowledgement", "proof_acked", "proof_height", "signer")
    PACKET_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_ACKED_FIELD_NUMBER: _ClassVar[int]
    PROOF_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    packet: Packet
    acknowledgement: Acknowledgement
    proof_acked: bytes
    proof_height: _ibc_client_pb2.Height
    signer: str
    def __init__(self, packet: _Optional[_Union[Packet, _Mapping]] = ..., acknowledgement: _Optional[_Union[Acknowledgement, _Mapping]] = ..., proof_acked: _Optional[bytes] = ..., proof_height: _Optional[_Union[_ibc_client_pb2.Height, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgAcknowledgementResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ResponseResultType
    def __init__(self, result: _Optional[_Union[ResponseResultType, str]] = ...) -> None: ...

class GenesisState(_message.Message):
    __slots__ = ("acknowledgements", "commitments", "receipts", "async_packets", "send_sequences")
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    ASYNC_PACKETS_FIELD_NUMBER: _ClassVar[int]
    SEND_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    acknowledgements: _containers.RepeatedCompositeFieldContainer[PacketState]
    commitments: _containers.RepeatedCompositeFieldContainer[PacketState]
    receipts: _containers.RepeatedCompositeFieldContainer[PacketState]
    async_packets: _containers.RepeatedCompositeFieldContainer[PacketState]
    send_sequences: _containers.RepeatedCompositeFieldContainer[PacketSequence]
    def __init__(self, acknowledgements: _Optional[_Iterable[_Union[PacketState, _Mapping]]] = ..., commitments: _Optional[_Iterable[_Union[PacketState, _Mapping]]] = ..., receipts: _Optional[_Iterable[_Union[PacketState, _Mapping]]] = ..., async_packets: _Optional[_Iterable[_Union[PacketState, _Mapping]]] = ..., send_sequences: _Optional[_Iterable[_Union[PacketSequence, _Mapping]]] = ...) -> None: ...

class PacketState(_message.Message):
    __slots__ = ("client_id", "sequence", "data")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequence: int
    data: bytes
    def __init__(self, client_id: _Optional[str] = ..., sequence: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PacketSequence(_message.Message):
    __slots__ = ("client_id", "sequence")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sequence: int
    def __init__(self, client_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...
