// Command verifier runs CometBFT's light client and ics23's Go verifier over cases it is given, round by round.
//
// It is started with the path of a JSON file of cases; then each line `KIND TIMES` on standard input runs every
// case of that kind TIMES times, from bytes to verdict, and answers one line with the nanoseconds per case.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/cometbft/cometbft/light"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	ics23 "github.com/cosmos/ics23/go"
)

type update struct {
	Trusted []byte `json:"trusted"` // LightBlock whose header is trusted
	Next    []byte `json:"next"`    // its next validators, a ValidatorSet
	Block   []byte `json:"block"`   // the LightBlock to judge
	Now     int64  `json:"now"`     // nanoseconds since 1970
}

type membership struct {
	Root   []byte   `json:"root"`
	Proofs [][]byte `json:"proofs"` // one CommitmentProof a layer, the innermost first
	Path   [][]byte `json:"path"`   // one key a layer, the outermost first
	Value  []byte   `json:"value"`
}

type cases struct {
	TrustingSeconds int64        `json:"trusting_s"`
	DriftSeconds    int64        `json:"drift_s"`
	Adjacent        []update     `json:"adjacent"`
	Skipping        []update     `json:"skipping"`
	Membership      []membership `json:"membership"`
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var given cases
	check(json.Unmarshal(text, &given))
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var kind string
		var times int
		_, err := fmt.Sscanf(input.Text(), "%s %d", &kind, &times)
		check(err)
		run, count := given.work(kind)
		start := time.Now()
		for range times {
			run()
		}
		fmt.Println(time.Since(start).Nanoseconds() / int64(times*count))
	}
}

func (c *cases) work(kind string) (func(), int) {
	switch kind {
	case "adjacent":
		return c.updates(c.Adjacent), len(c.Adjacent)
	case "skipping":
		return c.updates(c.Skipping), len(c.Skipping)
	case "membership":
		return func() {
			for _, one := range c.Membership {
				one.verify()
			}
		}, len(c.Membership)
	}
	log.Fatalf("no kind %q", kind)
	return nil, 0
}

// updates reads what is trusted once: a client has it at hand. The block is read from its bytes every time.
func (c *cases) updates(given []update) func() {
	trusted := make([]*types.LightBlock, len(given))
	next := make([]*types.ValidatorSet, len(given))
	for i, one := range given {
		trusted[i] = lightBlock(one.Trusted)
		next[i] = validators(one.Next)
	}
	trusting := time.Duration(c.TrustingSeconds) * time.Second
	drift := time.Duration(c.DriftSeconds) * time.Second
	return func() {
		for i, one := range given {
			block := lightBlock(one.Block)
			check(light.Verify(trusted[i].SignedHeader, next[i], block.SignedHeader, block.ValidatorSet,
				trusting, time.Unix(0, one.Now), drift, light.DefaultTrustLevel))
		}
	}
}

func (m *membership) verify() {
	specs := []*ics23.ProofSpec{ics23.IavlSpec, ics23.TendermintSpec}
	value := m.Value
	for layer, raw := range m.Proofs {
		var proof ics23.CommitmentProof
		check(proof.Unmarshal(raw))
		root := m.Root
		if layer+1 < len(m.Proofs) {
			calculated, err := proof.Calculate()
			check(err)
			root = calculated
		}
		if !ics23.VerifyMembership(specs[layer], root, &proof, m.Path[len(m.Path)-1-layer], value) {
			log.Fatal("a proof does not hold")
		}
		value = root
	}
}

func lightBlock(raw []byte) *types.LightBlock {
	var message cmtproto.LightBlock
	check(message.Unmarshal(raw))
	block, err := types.LightBlockFromProto(&message)
	check(err)
	return block
}

func validators(raw []byte) *types.ValidatorSet {
	var message cmtproto.ValidatorSet
	check(message.Unmarshal(raw))
	set, err := types.ValidatorSetFromProto(&message)
	check(err)
	return set
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
