// Program ibcgochain runs ibc-go's own SimApp as a real chain of one validator: the other side of tests/interop.
//
//	ibcgochain create --home DIR --chain-id NAME-1 --key HEX [--key HEX …]   keys, genesis, configuration
//	ibcgochain run --home DIR                                                until SIGTERM
//
// Both print one line of JSON. Nothing of ibc-go, the SDK or CometBFT is changed: what this chain refuses, a
// chain in production refuses. Keys are plain files, fees are not asked, and all of it listens on loopback.
package main

import (
	"fmt"
	"os"
)

func main() {
	verbs := map[string]func([]string) error{"create": create, "run": run}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: ibcgochain create|run --home DIR …")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "ibcgochain:", err)
		os.Exit(1)
	}
}
