package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	clienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	channeltypes "github.com/cosmos/ibc-go/v11/modules/core/04-channel/v2/types"
	hostv2 "github.com/cosmos/ibc-go/v11/modules/core/24-host/v2"
	ibctesting "github.com/cosmos/ibc-go/v11/testing"
	mockv1 "github.com/cosmos/ibc-go/v11/testing/mock"
	mock "github.com/cosmos/ibc-go/v11/testing/mock/v2"
)

const (
	validators = 4 // per chain: the `testing` package's default
	// Signatures a client update verifies: the commit check stops at three of four equal votes, and the
	// overlap check before it leaves its votes in a cache.
	votesCheckedPerUpdate = 3
)

// round is one measured run: `packets` packets in batches of `batch`, each taken through its whole life.
type round struct {
	Peer              string             `json:"peer"`
	Schedule          string             `json:"schedule"`
	Batch             int                `json:"batch"`
	Packets           int                `json:"packets"`
	PayloadBytes      int                `json:"payload_bytes"`
	Seconds           float64            `json:"seconds"`
	PacketsPerSecond  float64            `json:"packets_per_s"`
	Blocks            int64              `json:"blocks"`
	Transactions      int                `json:"transactions"`
	ClientUpdates     int                `json:"client_updates"`
	SignaturesMade    int64              `json:"signatures_made"`
	SignaturesChecked int64              `json:"signatures_checked"`
	Split             map[string]float64 `json:"split_us_per_packet"`
}

// pairs holds one pair of connected chains per (schedule, batch), so that no size pays for another's state.
type pairs struct {
	t    *testing.T
	open map[string]*ibctesting.Path
}

func newPairs(t *testing.T) *pairs {
	return &pairs{t: t, open: make(map[string]*ibctesting.Path)}
}

func (p *pairs) path(name string) *ibctesting.Path {
	if path, ok := p.open[name]; ok {
		return path
	}
	coordinator := ibctesting.NewCoordinator(p.t, 2)
	a := coordinator.GetChain(ibctesting.GetChainID(1))
	b := coordinator.GetChain(ibctesting.GetChainID(2))
	path := ibctesting.NewPath(a, b)
	path.SetupV2()
	// The mock answers one fixed body only; here it answers every body, with the same result.
	b.GetSimApp().MockModuleV2B.IBCApp.OnRecvPacket = answer
	p.open[name] = path
	return path
}

func (p *pairs) run(schedule string, batch, packets int) round {
	path := p.path(fmt.Sprintf("%s/%d", schedule, batch))
	leg := &legs{t: p.t, a: path.EndpointA, b: path.EndpointB, spent: make(map[string]time.Duration)}
	legRun := map[string]func(int) []channeltypes.Packet{"separate": leg.separate, "combined": leg.combined}[schedule]
	if legRun == nil {
		p.t.Fatalf("no schedule %q: separate or combined", schedule)
	}
	sent := make([]channeltypes.Packet, 0, packets)
	blocksBefore := leg.height()
	start := time.Now()
	for range packets / batch {
		sent = append(sent, legRun(batch)...)
	}
	seconds := time.Since(start).Seconds()
	leg.requireSettled(sent)
	blocks := leg.height() - blocksBefore

	split := make(map[string]float64, len(leg.spent))
	for step, spent := range leg.spent {
		split[step] = float64(spent.Microseconds()) / float64(packets)
	}
	votes := validators * blocks
	return round{
		Peer: "ibc-go v11.2.0", Schedule: schedule, Batch: batch, Packets: packets,
		PayloadBytes: len(leg.payload().Value),
		Seconds:      seconds, PacketsPerSecond: float64(packets) / seconds,
		Blocks: blocks, Transactions: leg.transactions, ClientUpdates: leg.updates,
		SignaturesMade: votes + int64(leg.transactions),
		// Every vote is also verified once when its commit is put together.
		SignaturesChecked: votes + int64(leg.transactions+votesCheckedPerUpdate*leg.updates),
		Split:             split,
	}
}

func answer(sdk.Context, string, string, uint64, channeltypes.Payload, sdk.AccAddress) channeltypes.RecvPacketResult {
	return mock.MockRecvPacketResult
}

// payload is the body of one packet; no two of a round say the same.
func (l *legs) payload() channeltypes.Payload {
	l.packets++
	payload := mock.NewMockPayload(mock.ModuleNameA, mock.ModuleNameB)
	payload.Value = fmt.Appendf(nil, "mock %011d", l.packets)
	return payload
}

// legs runs the steps of a life cycle and counts what they cost.
type legs struct {
	t            *testing.T
	a, b         *ibctesting.Endpoint
	spent        map[string]time.Duration
	transactions int
	updates      int
	packets      int
}

// separate gives each step its own transaction: seven blocks.
func (l *legs) separate(batch int) []channeltypes.Packet {
	packets := l.send(batch)
	l.update(l.b)
	l.deliver(l.b, "receive", l.proveReceive(packets))
	l.update(l.a)
	l.deliver(l.a, "acknowledge", l.proveAcknowledge(packets))
	return packets
}

// combined puts the client update in front of the messages that need it: five blocks.
func (l *legs) combined(batch int) []channeltypes.Packet {
	packets := l.send(batch)
	update := l.updateMessage(l.b)
	l.deliver(l.b, "update_receive", append([]sdk.Msg{update}, l.proveReceive(packets)...))
	update = l.updateMessage(l.a)
	l.deliver(l.a, "update_acknowledge", append([]sdk.Msg{update}, l.proveAcknowledge(packets)...))
	return packets
}

func (l *legs) send(batch int) []channeltypes.Packet {
	timeout := uint64(l.a.Chain.ProposedHeader.Time.Add(time.Hour).Unix())
	payloads := make([]channeltypes.Payload, batch)
	messages := make([]sdk.Msg, batch)
	for i := range messages {
		payloads[i] = l.payload()
		messages[i] = channeltypes.NewMsgSendPacket(l.a.ClientID, timeout, l.signer(l.a), payloads[i])
	}
	data := l.deliver(l.a, "send", messages)

	// Reading the sequences back is the relayer's work: outside the split, inside the total.
	var responses sdk.TxMsgData
	require.NoError(l.t, proto.Unmarshal(data, &responses))
	packets := make([]channeltypes.Packet, batch)
	for i, response := range responses.MsgResponses {
		var sent channeltypes.MsgSendPacketResponse
		require.NoError(l.t, proto.Unmarshal(response.Value, &sent))
		packets[i] = channeltypes.NewPacket(sent.Sequence, l.a.ClientID, l.b.ClientID, timeout, payloads[i])
	}
	return packets
}

func (l *legs) update(on *ibctesting.Endpoint) {
	defer l.timed("update")()
	require.NoError(l.t, on.UpdateClient())
	l.transactions++
	l.updates++
}

// updateMessage commits the block that carries the other side's root and returns the message that brings it here.
func (l *legs) updateMessage(on *ibctesting.Endpoint) sdk.Msg {
	defer l.timed("update_header")()
	source := on.Counterparty.Chain
	source.Coordinator.CommitBlock(source)
	trusted, ok := on.GetClientLatestHeight().(clienttypes.Height)
	require.True(l.t, ok)
	header, err := source.IBCClientHeader(source.LatestCommittedHeader, trusted)
	require.NoError(l.t, err)
	message, err := clienttypes.NewMsgUpdateClient(on.ClientID, header, l.signer(on))
	require.NoError(l.t, err)
	l.updates++
	return message
}

// proveReceive asks the chain, not the endpoint: the endpoint's helper reads the client state anew for each packet.
func (l *legs) proveReceive(packets []channeltypes.Packet) []sdk.Msg {
	defer l.timed("prove_receive")()
	messages := make([]sdk.Msg, len(packets))
	for i, packet := range packets {
		proof, height := l.a.Chain.QueryProof(hostv2.PacketCommitmentKey(packet.SourceClient, packet.Sequence))
		messages[i] = channeltypes.NewMsgRecvPacket(packet, proof, height, l.signer(l.b))
	}
	return messages
}

func (l *legs) proveAcknowledge(packets []channeltypes.Packet) []sdk.Msg {
	defer l.timed("prove_acknowledge")()
	acknowledgement := channeltypes.NewAcknowledgement(mockv1.MockAcknowledgement.Acknowledgement())
	messages := make([]sdk.Msg, len(packets))
	for i, packet := range packets {
		proof, height := l.b.Chain.QueryProof(hostv2.PacketAcknowledgementKey(packet.DestinationClient, packet.Sequence))
		messages[i] = channeltypes.NewMsgAcknowledgement(packet, acknowledgement, proof, height, l.signer(l.a))
	}
	return messages
}

// deliver runs one transaction in one block and returns its result data; a refused one ends the run.
func (l *legs) deliver(on *ibctesting.Endpoint, step string, messages []sdk.Msg) []byte {
	defer l.timed(step)()
	result, err := on.Chain.SendMsgs(messages...)
	require.NoError(l.t, err)
	l.transactions++
	return result.Data
}

// requireSettled fails the run when a packet's commitment is still there: an ignored proof must not look fast.
func (l *legs) requireSettled(packets []channeltypes.Packet) {
	keeper := l.a.Chain.App.GetIBCKeeper().ChannelKeeperV2
	for _, packet := range packets {
		left := keeper.GetPacketCommitment(l.a.Chain.GetContext(), packet.SourceClient, packet.Sequence)
		require.Empty(l.t, left, "packet %d was not acknowledged", packet.Sequence)
	}
}

func (l *legs) signer(on *ibctesting.Endpoint) string {
	return on.Chain.SenderAccount.GetAddress().String()
}

func (l *legs) height() int64 {
	return l.a.Chain.App.LastBlockHeight() + l.b.Chain.App.LastBlockHeight()
}

func (l *legs) timed(step string) func() {
	start := time.Now()
	return func() { l.spent[step] += time.Since(start) }
}
