package main

import (
	"encoding/json"
	"time"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"
	"github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/ibc-go/v11/testing/simapp"
)

const (
	coins    = 1_000_000_000_000 // of each denomination, to each account
	power    = 10                // of the validator, in units of DefaultPowerReduction
	transfer = "uatom"           // what ICS-20 carries in the tests
)

// genesis is the SimApp's default with accounts, one validator, and proposals that are decided in seconds.
func (plan *chainPlan) genesis() (*types.GenesisDoc, error) {
	app := simapp.NewSimApp(log.NewNopLogger(), dbm.NewMemDB(), nil, true, simtestutil.EmptyAppOptions{})
	codec, state := app.AppCodec(), app.DefaultGenesis()
	stake := sdk.TokensFromConsensusPower(power, sdk.DefaultPowerReduction)

	accounts, balances := authtypes.GenesisAccounts{}, []banktypes.Balance{}
	for number, key := range plan.accounts {
		address := sdk.AccAddress(key.PubKey().Address())
		accounts = append(accounts, authtypes.NewBaseAccount(address, nil, uint64(number), 0))
		balances = append(balances, banktypes.Balance{Address: address.String(), Coins: sdk.NewCoins(
			sdk.NewInt64Coin(sdk.DefaultBondDenom, coins), sdk.NewInt64Coin(transfer, coins))})
	}
	balances = append(balances, banktypes.Balance{
		Address: authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName).String(),
		Coins:   sdk.NewCoins(sdk.NewCoin(sdk.DefaultBondDenom, stake)),
	})
	auth := authtypes.NewGenesisState(authtypes.DefaultParams(), accounts)
	bank := banktypes.DefaultGenesisState()
	bank.Balances = balances
	staking, err := plan.staking(stake)
	if err != nil {
		return nil, err
	}
	gov := govv1.DefaultGenesisState()
	expedited := plan.voting / 2
	gov.Params.VotingPeriod, gov.Params.ExpeditedVotingPeriod = &plan.voting, &expedited
	gov.Params.MinDeposit = sdk.NewCoins(sdk.NewInt64Coin(sdk.DefaultBondDenom, 1_000))

	state[authtypes.ModuleName] = codec.MustMarshalJSON(auth)
	state[banktypes.ModuleName] = codec.MustMarshalJSON(bank)
	state[stakingtypes.ModuleName] = codec.MustMarshalJSON(staking)
	state[govtypes.ModuleName] = codec.MustMarshalJSON(gov)
	encoded, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	document := &types.GenesisDoc{
		ChainID:         plan.chainID,
		GenesisTime:     time.Now().UTC(),
		ConsensusParams: types.DefaultConsensusParams(),
		AppState:        encoded,
	}
	return document, document.ValidateAndComplete()
}

// staking has the one validator enter unbonded, so that the module bonds it by itself and slashing hears of it;
// written down as bonded it would have no signing record, and the second block would fail.
func (plan *chainPlan) staking(stake math.Int) (*stakingtypes.GenesisState, error) {
	key, err := cryptocodec.FromCmtPubKeyInterface(plan.validator.PubKey())
	if err != nil {
		return nil, err
	}
	packed, err := codectypes.NewAnyWithValue(key)
	if err != nil {
		return nil, err
	}
	owner := plan.accounts[0].PubKey().Address()
	zero := math.LegacyZeroDec()
	validator := stakingtypes.Validator{
		OperatorAddress:   sdk.ValAddress(owner).String(),
		ConsensusPubkey:   packed,
		Status:            stakingtypes.Unbonded,
		Tokens:            stake,
		DelegatorShares:   math.LegacyNewDecFromInt(stake),
		Description:       stakingtypes.Description{Moniker: plan.chainID},
		UnbondingTime:     time.Unix(0, 0).UTC(),
		Commission:        stakingtypes.NewCommission(zero, zero, zero),
		MinSelfDelegation: math.OneInt(),
	}
	own := stakingtypes.NewDelegation(sdk.AccAddress(owner).String(), validator.OperatorAddress, validator.DelegatorShares)
	return stakingtypes.NewGenesisState(
		stakingtypes.DefaultParams(), []stakingtypes.Validator{validator}, []stakingtypes.Delegation{own}), nil
}
