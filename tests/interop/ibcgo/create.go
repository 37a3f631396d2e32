package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// chainPlan is what a caller may choose of a chain.
type chainPlan struct {
	home, chainID    string
	accounts         []*secp256k1.PrivKey
	blockTime        time.Duration // pause after a commit
	voting           time.Duration // of a governance proposal
	validator        ed25519.PrivKey
	rpcPort, p2pPort int
}

// create writes the home of a new chain and prints where it will listen and who was funded.
func create(arguments []string) error {
	plan, err := planOf(arguments)
	if err != nil {
		return err
	}
	for _, folder := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(plan.home, folder), 0o700); err != nil {
			return err
		}
	}
	settings := plan.settings()
	config.WriteConfigFile(filepath.Join(plan.home, "config", "config.toml"), settings)
	privval.NewFilePV(plan.validator, settings.PrivValidatorKeyFile(), settings.PrivValidatorStateFile()).Save()
	if err := (&p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}).SaveAs(settings.NodeKeyFile()); err != nil {
		return err
	}
	genesis, err := plan.genesis()
	if err != nil {
		return err
	}
	if err := genesis.SaveAs(settings.GenesisFile()); err != nil {
		return err
	}
	addresses := []string{}
	for _, key := range plan.accounts {
		addresses = append(addresses, sdk.AccAddress(key.PubKey().Address()).String())
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"chain_id": plan.chainID,
		"rpc":      fmt.Sprintf("http://127.0.0.1:%d", plan.rpcPort),
		"accounts": addresses,
		"operator": sdk.ValAddress(plan.accounts[0].PubKey().Address()).String(),
	})
}

func planOf(arguments []string) (*chainPlan, error) {
	plan := &chainPlan{validator: ed25519.GenPrivKey()}
	flags := flag.NewFlagSet("create", flag.ContinueOnError)
	flags.StringVar(&plan.home, "home", "", "a folder that holds no chain yet")
	flags.StringVar(&plan.chainID, "chain-id", "", "NAME-N is revision N, any other name revision 0")
	flags.DurationVar(&plan.blockTime, "block-time", 100*time.Millisecond, "pause after each commit")
	flags.DurationVar(&plan.voting, "voting-period", 2*time.Second, "of a governance proposal")
	flags.Func("key", "secp256k1 scalar in hex, of an account to fund; the first one also runs the validator",
		func(text string) error {
			scalar, err := hex.DecodeString(text)
			if err != nil || len(scalar) != 32 {
				return errors.New("a key is 32 bytes in hex")
			}
			plan.accounts = append(plan.accounts, &secp256k1.PrivKey{Key: scalar})
			return nil
		})
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if plan.home == "" || plan.chainID == "" || len(plan.accounts) == 0 {
		return nil, errors.New("--home, --chain-id and one --key are needed")
	}
	if _, err := os.Stat(filepath.Join(plan.home, "config", "genesis.json")); err == nil {
		return nil, fmt.Errorf("%s holds a chain already", plan.home)
	}
	var err error
	plan.rpcPort, plan.p2pPort, err = freePorts()
	return plan, err
}

// freePorts returns two ports nobody listens on now. Both are held until both are known, so they differ.
func freePorts() (int, int, error) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer first.Close()
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer second.Close()
	return first.Addr().(*net.TCPAddr).Port, second.Addr().(*net.TCPAddr).Port, nil
}

// settings is CometBFT's own default for a lone node on loopback.
func (plan *chainPlan) settings() *config.Config {
	settings := config.DefaultConfig()
	settings.SetRoot(plan.home)
	settings.Moniker = plan.chainID
	settings.LogLevel = "error"
	settings.RPC.ListenAddress = fmt.Sprintf("tcp://127.0.0.1:%d", plan.rpcPort)
	settings.P2P.ListenAddress = fmt.Sprintf("tcp://127.0.0.1:%d", plan.p2pPort)
	settings.P2P.PexReactor = false
	settings.Consensus.TimeoutCommit = plan.blockTime
	return settings
}
