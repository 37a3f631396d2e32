// Handshakes of TLS 1.3 in memory, with certificates on both sides: a line "GROUP COUNT" in, a line of JSON out.
//
// GROUP is x25519 or x25519mlkem768. Certificates are self-signed with Ed25519, pinned by their bytes; no tickets.
// Bytes are what each side writes, records and all: before the first answer, the answer, and what follows it.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"time"
)

type answer struct {
	Bytes   [3]int64 `json:"bytes"`
	Seconds float64  `json:"seconds"`
}

// counted counts what one end writes, split at the first byte that it has read.
type counted struct {
	net.Conn
	before, after atomic.Int64
	answered      atomic.Bool
}

func (c *counted) Read(data []byte) (int, error) {
	count, err := c.Conn.Read(data)
	if count > 0 {
		c.answered.Store(true)
	}
	return count, err
}

func (c *counted) Write(data []byte) (int, error) {
	if c.answered.Load() {
		c.after.Add(int64(len(data)))
	} else {
		c.before.Add(int64(len(data)))
	}
	return c.Conn.Write(data)
}

func certificate(name string) tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, public, private)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func settings(own, peer tls.Certificate, group tls.CurveID) *tls.Config {
	pinned := func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) != 1 || !bytes.Equal(raw[0], peer.Certificate[0]) {
			return errors.New("another certificate")
		}
		return nil
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{group},
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, VerifyPeerCertificate: pinned,
		SessionTicketsDisabled: true, ServerName: "bob",
	}
}

func handshake(client, server *tls.Config) [3]int64 {
	here, there := net.Pipe()
	near, far := &counted{Conn: here}, &counted{Conn: there}
	done := make(chan error, 1)
	go func() { done <- tls.Server(far, server).Handshake() }()
	connection := tls.Client(near, client)
	check(connection.Handshake())
	check(<-done)
	state := connection.ConnectionState()
	if state.Version != tls.VersionTLS13 || state.CurveID != client.CurvePreferences[0] {
		check(errors.New("not what was asked for"))
	}
	here.Close()
	return [3]int64{near.before.Load(), far.before.Load() + far.after.Load(), near.after.Load()}
}

func main() {
	alice, bob := certificate("alice"), certificate("bob")
	groups := map[string]tls.CurveID{"x25519": tls.X25519, "x25519mlkem768": tls.X25519MLKEM768}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name string
		var count int
		_, err := fmt.Sscan(lines.Text(), &name, &count)
		check(err)
		client, server := settings(alice, bob, groups[name]), settings(bob, alice, groups[name])
		var made answer
		begun := time.Now()
		for range count {
			made.Bytes = handshake(client, server)
		}
		made.Seconds = time.Since(begun).Seconds() / float64(count)
		out, err := json.Marshal(made)
		check(err)
		fmt.Println(string(out))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
