from google.protobuf import any_pb2 as _any_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GMPPacketData(_message.Message):
    __slots__ = ("sender", "receiver", "salt", "payload", "memo")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    sender: str
    receiver: str
    salt: bytes
    payload: bytes
    memo: str
    def __init__(self, sender: _Optional[str] = ..., receiver: _Optional[str] = ..., salt: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., memo: _Optional[str] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    def __init__(self, result: _Optional[bytes] = ...) -> None: ...

class AccountIdentifier(_message.Message):
    __slots__ = ("client_id", "sender", "salt")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    sender: str
    salt: bytes
    def __init__(self, client_id: _Optional[str] = ..., sender: _Optional[str] = ..., salt: _Optional[bytes] = ...) -> None: ...

class CosmosTx(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, messages: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class MsgSendCall(_message.Message):
    __slots__ = ("source_client", "sender", "receiver", "salt", "payload", "timeout_timestamp", "memo", "encoding")
    SOURCE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    source_client: str
    sender: str
    receiver: str
    salt: bytes
    payload: bytes
    timeout_timestamp: int
    memo: str
    encoding: str
    def __init__(self, source_client: _Optional[str] = ..., sender: _Optional[str] = ..., receiver: _Optional[str] = ..., salt: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., timeout_timestamp: _Optional[int] = ..., memo: _Optional[str] = ..., encoding: _Optional[str] = ...) -> None: ...

class MsgSendCallResponse(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...
