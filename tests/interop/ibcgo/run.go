package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"cosmossdk.io/log/v2"
	"github.com/cometbft/cometbft/config"
	cmtflags "github.com/cometbft/cometbft/libs/cli/flags"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/server"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	"github.com/cosmos/ibc-go/v11/testing/simapp"
	"github.com/spf13/viper"
)

// run is application and CometBFT node in one process, until a signal ends it.
func run(arguments []string) error {
	set := flag.NewFlagSet("run", flag.ContinueOnError)
	home := set.String("home", "", "as given to create")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	settings, err := settingsOf(*home)
	if err != nil {
		return err
	}
	app, database, err := openApp(settings)
	if err != nil {
		return err
	}
	defer database.Close()
	logger, err := cmtflags.ParseLogLevel(settings.LogLevel, cmtlog.NewTMLogger(cmtlog.NewSyncWriter(os.Stderr)), "error")
	if err != nil {
		return err
	}
	identity, err := p2p.LoadNodeKey(settings.NodeKeyFile())
	if err != nil {
		return err
	}
	running, err := node.NewNode(
		settings,
		privval.LoadFilePV(settings.PrivValidatorKeyFile(), settings.PrivValidatorStateFile()),
		identity,
		proxy.NewLocalClientCreator(server.NewCometABCIWrapper(app)),
		node.DefaultGenesisDocProviderFunc(settings),
		config.DefaultDBProvider,
		node.DefaultMetricsProvider(settings.Instrumentation),
		logger,
	)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	if err := running.Start(); err != nil {
		return err
	}
	rpc := strings.Replace(settings.RPC.ListenAddress, "tcp", "http", 1)
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"ready": true, "rpc": rpc}); err != nil {
		return err
	}
	<-ended
	if err := running.Stop(); err != nil {
		return err
	}
	running.Wait()
	return nil
}

func settingsOf(home string) (*config.Config, error) {
	reader := viper.New()
	reader.SetConfigFile(filepath.Join(home, "config", "config.toml"))
	if err := reader.ReadInConfig(); err != nil {
		return nil, err
	}
	settings := config.DefaultConfig()
	if err := reader.Unmarshal(settings); err != nil {
		return nil, err
	}
	settings.SetRoot(home)
	return settings, settings.ValidateBasic()
}

// openApp is the SimApp over its data folder. It keeps every version, since tests ask for old proofs, and answers
// simulations, which a node with a gRPC server would answer there.
func openApp(settings *config.Config) (*simapp.SimApp, dbm.DB, error) {
	document, err := types.GenesisDocFromFile(settings.GenesisFile())
	if err != nil {
		return nil, nil, err
	}
	database, err := dbm.NewDB("application", dbm.GoLevelDBBackend, settings.DBDir())
	if err != nil {
		return nil, nil, err
	}
	options := simtestutil.AppOptionsMap{flags.FlagHome: settings.RootDir, server.FlagInvCheckPeriod: uint(0)}
	app := simapp.NewSimApp(log.NewNopLogger(), database, nil, true, options,
		baseapp.SetChainID(document.ChainID),
		baseapp.SetPruning(pruningtypes.NewPruningOptions(pruningtypes.PruningNothing)))
	app.RegisterTxService(client.Context{}.WithChainID(document.ChainID).WithTxConfig(app.TxConfig()))
	return app, database, nil
}
