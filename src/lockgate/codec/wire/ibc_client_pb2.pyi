import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lockgate.codec.wire import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Height(_message.Message):
    __slots__ = ("revision_number", "revision_height")
    REVISION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REVISION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    revision_number: int
    revision_height: int
    def __init__(self, revision_number: _Optional[int] = ..., revision_height: _Optional[int] = ...) -> None: ...

class IdentifiedClientState(_message.Message):
    __slots__ = ("client_id", "client_state")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    client_state: _any_pb2.Any
    def __init__(self, client_id: _Optional[str] = ..., client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class ConsensusStateWithHeight(_message.Message):
    __slots__ = ("height", "consensus_state")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    height: Height
    consensus_state: _any_pb2.Any
    def __init__(self, height: _Optional[_Union[Height, _Mapping]] = ..., consensus_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class ClientConsensusStates(_message.Message):
    __slots__ = ("client_id", "consensus_states")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_STATES_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    consensus_states: _containers.RepeatedCompositeFieldContainer[ConsensusStateWithHeight]
    def __init__(self, client_id: _Optional[str] = ..., consensus_states: _Optional[_Iterable[_Union[ConsensusStateWithHeight, _Mapping]]] = ...) -> None: ...

class Params(_message.Message):
    __slots__ = ("allowed_clients",)
    ALLOWED_CLIENTS_FIELD_NUMBER: _ClassVar[int]
    allowed_clients: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed_clients: _Optional[_Iterable[str]] = ...) -> None: ...

class GenesisState(_message.Message):
    __slots__ = ("clients", "clients_consensus", "clients_metadata", "params", "create_localhost", "next_client_sequence")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_CONSENSUS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_METADATA_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CREATE_LOCALHOST_FIELD_NUMBER: _ClassVar[int]
    NEXT_CLIENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[IdentifiedClientState]
    clients_consensus: _containers.RepeatedCompositeFieldContainer[ClientConsensusStates]
    clients_metadata: _containers.RepeatedCompositeFieldContainer[IdentifiedGenesisMetadata]
    params: Params
    create_localhost: bool
    next_client_sequence: int
    def __init__(self, clients: _Optional[_Iterable[_Union[IdentifiedClientState, _Mapping]]] = ..., clients_consensus: _Optional[_Iterable[_Union[ClientConsensusStates, _Mapping]]] = ..., clients_metadata: _Optional[_Iterable[_Union[IdentifiedGenesisMetadata, _Mapping]]] = ..., params: _Optional[_Union[Params, _Mapping]] = ..., create_localhost: _Optional[bool] = ..., next_client_sequence: _Optional[int] = ...) -> None: ...

class GenesisMetadata(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class IdentifiedGenesisMetadata(_message.Message):
    __slots__ = ("client_id", "client_metadata")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_METADATA_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    client_metadata: _containers.RepeatedCompositeFieldContainer[GenesisMetadata]
    def __init__(self, client_id: _Optional[str] = ..., client_metadata: _Optional[_Iterable[_Union[GenesisMetadata, _Mapping]]] = ...) -> None: ...

class MsgCreateClient(_message.Message):
    __slots__ = ("client_state", "consensus_state", "signer")
    CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_state: _any_pb2.Any
    consensus_state: _any_pb2.Any
    signer: str
    def __init__(self, client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., consensus_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgCreateClientResponse(_message.Message):
    __slots__ = ("client_id",)
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    def __init__(self, client_id: _Optional[str] = ...) -> None: ...

class MsgUpdateClient(_message.Message):
    __slots__ = ("client_id", "client_message", "signer")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    client_message: _any_pb2.Any
    signer: str
    def __init__(self, client_id: _Optional[str] = ..., client_message: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgUpdateClientResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgUpgradeClient(_message.Message):
    __slots__ = ("client_id", "client_state", "consensus_state", "proof_upgrade_client", "proof_upgrade_consensus_state", "signer")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    PROOF_UPGRADE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_UPGRADE_CONSENSUS_STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    client_state: _any_pb2.Any
    consensus_state: _any_pb2.Any
    proof_upgrade_client: bytes
    proof_upgrade_consensus_state: bytes
    signer: str
    def __init__(self, client_id: _Optional[str] = ..., client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., consensus_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., proof_upgrade_client: _Optional[bytes] = ..., proof_upgrade_consensus_state: _Optional[bytes] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgUpgradeClientResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgRecoverClient(_message.Message):
    __slots__ = ("subject_client_id", "substitute_client_id", "signer")
    SUBJECT_CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTE_CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    subject_client_id: str
    substitute_client_id: str
    signer: str
    def __init__(self, subject_client_id: _Optional[str] = ..., substitute_client_id: _Optional[str] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgRecoverClientResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgIBCSoftwareUpgrade(_message.Message):
    __slots__ = ("plan", "upgraded_client_state", "signer")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    UPGRADED_CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    plan: Plan
    upgraded_client_state: _any_pb2.Any
    signer: str
    def __init__(self, plan: _Optional[_Union[Plan, _Mapping]] = ..., upgraded_client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgIBCSoftwareUpgradeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgUpdateParams(_message.Message):
    __slots__ = ("signer", "params")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    signer: str
    params: Params
    def __init__(self, signer: _Optional[str] = ..., params: _Optional[_Union[Params, _Mapping]] = ...) -> None: ...

class MsgUpdateParamsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgDeleteClientCreator(_message.Message):
    __slots__ = ("client_id", "signer")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    signer: str
    def __init__(self, client_id: _Optional[str] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgDeleteClientCreatorResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Plan(_message.Message):
    __slots__ = ("name", "time", "height", "info", "upgraded_client_state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    UPGRADED_CLIENT_STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    time: _timestamp_pb2.Timestamp
    height: int
    info: str
    upgraded_client_state: _any_pb2.Any
    def __init__(self, name: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., height: _Optional[int] = ..., info: _Optional[str] = ..., upgraded_client_state: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class CounterpartyInfo(_message.Message):
    __slots__ = ("merkle_prefix", "client_id")
    MERKLE_PREFIX_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    merkle_prefix: _containers.RepeatedScalarFieldContainer[bytes]
    client_id: str
    def __init__(self, merkle_prefix: _Optional[_Iterable[bytes]] = ..., client_id: _Optional[str] = ...) -> None: ...

class Config(_message.Message):
    __slots__ = ("allowed_relayers",)
    ALLOWED_RELAYERS_FIELD_NUMBER: _ClassVar[int]
    allowed_relayers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed_relayers: _Optional[_Iterable[str]] = ...) -> None: ...

class MsgRegisterCounterparty(_message.Message):
    __slots__ = ("client_id", "counterparty_merkle_prefix", "counterparty_client_id", "signer")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_MERKLE_PREFIX_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    counterparty_merkle_prefix: _containers.RepeatedScalarFieldContainer[bytes]
    counterparty_client_id: str
    signer: str
    def __init__(self, client_id: _Optional[str] = ..., counterparty_merkle_prefix: _Optional[_Iterable[bytes]] = ..., counterparty_client_id: _Optional[str] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgRegisterCounterpartyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MsgUpdateClientConfig(_message.Message):
    __slots__ = ("client_id", "config", "signer")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    config: Config
    signer: str
    def __init__(self, client_id: _Optional[str] = ..., config: _Optional[_Union[Config, _Mapping]] = ..., signer: _Optional[str] = ...) -> None: ...

class MsgUpdateClientConfigResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GenesisCounterpartyInfo(_message.Message):
    __slots__ = ("client_id", "counterparty_info")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_INFO_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    counterparty_info: CounterpartyInfo
    def __init__(self, client_id: _Optional[str] = ..., counterparty_info: _Optional[_Union[CounterpartyInfo, _Mapping]] = ...) -> None: ...

class GenesisStateV2(_message.Message):
    __slots__ = ("counterparty_infos",)
    COUNTERPARTY_INFOS_FIELD_NUMBER: _ClassVar[int]
    counterparty_infos: _containers.RepeatedCompositeFieldContainer[GenesisCounterpartyInfo]
    def __init__(self, counterparty_infos: _Optional[_Iterable[_Union[GenesisCounterpartyInfo, _Mapping]]] = ...) -> None: ...
