"""Type URLs and query paths of the standards, and the generated message each one names.

Our `.proto` files live in package `lockgate.wire.*` (I12), so a message cannot tell its own type URL:
these constants do, and `MESSAGES` joins the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.message import Message

from lockgate.codec.wire import ibc_channel_pb2, ibc_client_pb2, ibc_tendermint_pb2, ics20_pb2, ics27_pb2

# ICS-02, client v1
MSG_CREATE_CLIENT: Final = "/ibc.core.client.v1.MsgCreateClient"
MSG_UPDATE_CLIENT: Final = "/ibc.core.client.v1.MsgUpdateClient"
MSG_UPGRADE_CLIENT: Final = "/ibc.core.client.v1.MsgUpgradeClient"
MSG_RECOVER_CLIENT: Final = "/ibc.core.client.v1.MsgRecoverClient"
MSG_IBC_SOFTWARE_UPGRADE: Final = "/ibc.core.client.v1.MsgIBCSoftwareUpgrade"
MSG_UPDATE_PARAMS: Final = "/ibc.core.client.v1.MsgUpdateParams"
MSG_DELETE_CLIENT_CREATOR: Final = "/ibc.core.client.v1.MsgDeleteClientCreator"
MSG_CREATE_CLIENT_RESPONSE: Final = "/ibc.core.client.v1.MsgCreateClientResponse"
MSG_UPDATE_CLIENT_RESPONSE: Final = "/ibc.core.client.v1.MsgUpdateClientResponse"
MSG_UPGRADE_CLIENT_RESPONSE: Final = "/ibc.core.client.v1.MsgUpgradeClientResponse"
MSG_RECOVER_CLIENT_RESPONSE: Final = "/ibc.core.client.v1.MsgRecoverClientResponse"
MSG_IBC_SOFTWARE_UPGRADE_RESPONSE: Final = "/ibc.core.client.v1.MsgIBCSoftwareUpgradeResponse"
MSG_UPDATE_PARAMS_RESPONSE: Final = "/ibc.core.client.v1.MsgUpdateParamsResponse"
MSG_DELETE_CLIENT_CREATOR_RESPONSE: Final = "/ibc.core.client.v1.MsgDeleteClientCreatorResponse"

# ICS-02, client v2
MSG_REGISTER_COUNTERPARTY: Final = "/ibc.core.client.v2.MsgRegisterCounterparty"
MSG_UPDATE_CLIENT_CONFIG: Final = "/ibc.core.client.v2.MsgUpdateClientConfig"
MSG_REGISTER_COUNTERPARTY_RESPONSE: Final = "/ibc.core.client.v2.MsgRegisterCounterpartyResponse"
MSG_UPDATE_CLIENT_CONFIG_RESPONSE: Final = "/ibc.core.client.v2.MsgUpdateClientConfigResponse"

# ICS-04, channel v2
MSG_SEND_PACKET: Final = "/ibc.core.channel.v2.MsgSendPacket"
MSG_RECV_PACKET: Final = "/ibc.core.channel.v2.MsgRecvPacket"
MSG_ACKNOWLEDGEMENT: Final = "/ibc.core.channel.v2.MsgAcknowledgement"
MSG_TIMEOUT: Final = "/ibc.core.channel.v2.MsgTimeout"
MSG_SEND_PACKET_RESPONSE: Final = "/ibc.core.channel.v2.MsgSendPacketResponse"
MSG_RECV_PACKET_RESPONSE: Final = "/ibc.core.channel.v2.MsgRecvPacketResponse"
MSG_ACKNOWLEDGEMENT_RESPONSE: Final = "/ibc.core.channel.v2.MsgAcknowledgementResponse"
MSG_TIMEOUT_RESPONSE: Final = "/ibc.core.channel.v2.MsgTimeoutResponse"

# ICS-07
TENDERMINT_CLIENT_STATE: Final = "/ibc.lightclients.tendermint.v1.ClientState"
TENDERMINT_CONSENSUS_STATE: Final = "/ibc.lightclients.tendermint.v1.ConsensusState"
TENDERMINT_HEADER: Final = "/ibc.lightclients.tendermint.v1.Header"
TENDERMINT_MISBEHAVIOUR: Final = "/ibc.lightclients.tendermint.v1.Misbehaviour"

# ICS-20 and ICS-27
MSG_TRANSFER: Final = "/ibc.applications.transfer.v1.MsgTransfer"
MSG_TRANSFER_RESPONSE: Final = "/ibc.applications.transfer.v1.MsgTransferResponse"
MSG_SEND_CALL: Final = "/ibc.applications.gmp.v1.MsgSendCall"
MSG_SEND_CALL_RESPONSE: Final = "/ibc.applications.gmp.v1.MsgSendCallResponse"

MESSAGES: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {
        MSG_CREATE_CLIENT: ibc_client_pb2.MsgCreateClient,
        MSG_UPDATE_CLIENT: ibc_client_pb2.MsgUpdateClient,
        MSG_UPGRADE_CLIENT: ibc_client_pb2.MsgUpgradeClient,
        MSG_RECOVER_CLIENT: ibc_client_pb2.MsgRecoverClient,
        MSG_IBC_SOFTWARE_UPGRADE: ibc_client_pb2.MsgIBCSoftwareUpgrade,
        MSG_UPDATE_PARAMS: ibc_client_pb2.MsgUpdateParams,
        MSG_DELETE_CLIENT_CREATOR: ibc_client_pb2.MsgDeleteClientCreator,
        MSG_CREATE_CLIENT_RESPONSE: ibc_client_pb2.MsgCreateClientResponse,
        MSG_UPDATE_CLIENT_RESPONSE: ibc_client_pb2.MsgUpdateClientResponse,
        MSG_UPGRADE_CLIENT_RESPONSE: ibc_client_pb2.MsgUpgradeClientResponse,
        MSG_RECOVER_CLIENT_RESPONSE: ibc_client_pb2.MsgRecoverClientResponse,
        MSG_IBC_SOFTWARE_UPGRADE_RESPONSE: ibc_client_pb2.MsgIBCSoftwareUpgradeResponse,
        MSG_UPDATE_PARAMS_RESPONSE: ibc_client_pb2.MsgUpdateParamsResponse,
        MSG_DELETE_CLIENT_CREATOR_RESPONSE: ibc_client_pb2.MsgDeleteClientCreatorResponse,
        MSG_REGISTER_COUNTERPARTY: ibc_client_pb2.MsgRegisterCounterparty,
        MSG_UPDATE_CLIENT_CONFIG: ibc_client_pb2.MsgUpdateClientConfig,
        MSG_REGISTER_COUNTERPARTY_RESPONSE: ibc_client_pb2.MsgRegisterCounterpartyResponse,
        MSG_UPDATE_CLIENT_CONFIG_RESPONSE: ibc_client_pb2.MsgUpdateClientConfigResponse,
        MSG_SEND_PACKET: ibc_channel_pb2.MsgSendPacket,
        MSG_RECV_PACKET: ibc_channel_pb2.MsgRecvPacket,
        MSG_ACKNOWLEDGEMENT: ibc_channel_pb2.MsgAcknowledgement,
        MSG_TIMEOUT: ibc_channel_pb2.MsgTimeout,
        MSG_SEND_PACKET_RESPONSE: ibc_channel_pb2.MsgSendPacketResponse,
        MSG_RECV_PACKET_RESPONSE: ibc_channel_pb2.MsgRecvPacketResponse,
        MSG_ACKNOWLEDGEMENT_RESPONSE: ibc_channel_pb2.MsgAcknowledgementResponse,
        MSG_TIMEOUT_RESPONSE: ibc_channel_pb2.MsgTimeoutResponse,
        TENDERMINT_CLIENT_STATE: ibc_tendermint_pb2.ClientState,
        TENDERMINT_CONSENSUS_STATE: ibc_tendermint_pb2.ConsensusState,
        TENDERMINT_HEADER: ibc_tendermint_pb2.Header,
        TENDERMINT_MISBEHAVIOUR: ibc_tendermint_pb2.Misbehaviour,
        MSG_TRANSFER: ics20_pb2.MsgTransfer,
        MSG_TRANSFER_RESPONSE: ics20_pb2.MsgTransferResponse,
        MSG_SEND_CALL: ics27_pb2.MsgSendCall,
        MSG_SEND_CALL_RESPONSE: ics27_pb2.MsgSendCallResponse,
    }
)

# abci_query paths served as ibc-go serves them (I10)
QUERY_CLIENT_V1: Final = "/ibc.core.client.v1.Query/"
QUERY_CLIENT_V2: Final = "/ibc.core.client.v2.Query/"
QUERY_CHANNEL_V2: Final = "/ibc.core.channel.v2.Query/"

QUERY_CLIENT_STATE: Final = QUERY_CLIENT_V1 + "ClientState"
QUERY_CLIENT_STATES: Final = QUERY_CLIENT_V1 + "ClientStates"
QUERY_CONSENSUS_STATE: Final = QUERY_CLIENT_V1 + "ConsensusState"
QUERY_CONSENSUS_STATES: Final = QUERY_CLIENT_V1 + "ConsensusStates"
QUERY_CONSENSUS_STATE_HEIGHTS: Final = QUERY_CLIENT_V1 + "ConsensusStateHeights"
QUERY_CLIENT_STATUS: Final = QUERY_CLIENT_V1 + "ClientStatus"
QUERY_CLIENT_PARAMS: Final = QUERY_CLIENT_V1 + "ClientParams"
QUERY_CLIENT_CREATOR: Final = QUERY_CLIENT_V1 + "ClientCreator"
QUERY_UPGRADED_CLIENT_STATE: Final = QUERY_CLIENT_V1 + "UpgradedClientState"
QUERY_UPGRADED_CONSENSUS_STATE: Final = QUERY_CLIENT_V1 + "UpgradedConsensusState"
QUERY_COUNTERPARTY_INFO: Final = QUERY_CLIENT_V2 + "CounterpartyInfo"
QUERY_CONFIG: Final = QUERY_CLIENT_V2 + "Config"
QUERY_NEXT_SEQUENCE_SEND: Final = QUERY_CHANNEL_V2 + "NextSequenceSend"
QUERY_PACKET_COMMITMENT: Final = QUERY_CHANNEL_V2 + "PacketCommitment"
QUERY_PACKET_COMMITMENTS: Final = QUERY_CHANNEL_V2 + "PacketCommitments"
QUERY_PACKET_RECEIPT: Final = QUERY_CHANNEL_V2 + "PacketReceipt"
QUERY_PACKET_ACKNOWLEDGEMENT: Final = QUERY_CHANNEL_V2 + "PacketAcknowledgement"
QUERY_PACKET_ACKNOWLEDGEMENTS: Final = QUERY_CHANNEL_V2 + "PacketAcknowledgements"
QUERY_UNRECEIVED_PACKETS: Final = QUERY_CHANNEL_V2 + "UnreceivedPackets"
QUERY_UNRECEIVED_ACKS: Final = QUERY_CHANNEL_V2 + "UnreceivedAcks"
