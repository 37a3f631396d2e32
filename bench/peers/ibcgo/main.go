// Command ibcgo measures the packet life cycle of ibc-go's own `testing` package, in process and in memory.
//
// The schedule is the one every figure in bench/README.md uses: one transaction per leg, whatever the batch:
//
//	send B · client update · receive B · client update · acknowledge B
//
// which makes seven blocks, two client updates and five transactions. The row `combined` puts each update into
// the transaction that needs it: five blocks, three transactions.
//
//	ibcgo -batches 1,25,50,250 -rounds 5          one JSON line per round and batch
//	ibcgo -serve                                  one round per input line "SCHEDULE BATCH PACKETS"
//
// In serve mode the caller chooses when a round runs, so that it can place its own round in the same minute.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func main() {
	batches := flag.String("batches", "1,25,50,250", "batch sizes, comma-separated")
	schedules := flag.String("schedules", "separate", "schedules, comma-separated: separate, combined")
	rounds := flag.Int("rounds", 5, "rounds per batch size, after one that is not counted")
	packets := flag.Int("packets", 0, "packets per round; 0 chooses about a second's worth")
	serve := flag.Bool("serve", false, "read rounds from standard input")
	testing.Init()
	flag.Parse()

	body := func(t *testing.T) {
		chains := newPairs(t)
		if *serve {
			serveRounds(t, chains, bufio.NewScanner(os.Stdin))
			return
		}
		for _, schedule := range strings.Split(*schedules, ",") {
			for _, text := range strings.Split(*batches, ",") {
				batch, err := strconv.Atoi(text)
				if err != nil || batch < 1 {
					t.Fatalf("not a batch size: %q", text)
				}
				count := packetsFor(batch, *packets)
				chains.run(schedule, batch, count)
				for range *rounds {
					emit(t, chains.run(schedule, batch, count))
				}
			}
		}
	}
	// The package under measurement wants a *testing.T; testing.Main gives one outside `go test`.
	match := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(match, []testing.InternalTest{{Name: "lifecycle", F: body}}, nil, nil)
}

func serveRounds(t *testing.T, chains *pairs, lines *bufio.Scanner) {
	for lines.Scan() {
		var schedule string
		var batch, count int
		if _, err := fmt.Sscan(lines.Text(), &schedule, &batch, &count); err != nil || batch < 1 {
			t.Fatalf("want \"SCHEDULE BATCH PACKETS\", got %q", lines.Text())
		}
		emit(t, chains.run(schedule, batch, packetsFor(batch, count)))
	}
}

// packetsFor rounds the wanted number of packets up to whole batches.
func packetsFor(batch, wanted int) int {
	if wanted < 1 {
		wanted = min(50*batch, 1000)
	}
	return (wanted + batch - 1) / batch * batch
}

func emit(t *testing.T, result round) {
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}
