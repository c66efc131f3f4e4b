// Hand-written Go peers of the fleet: an API, an indexer and a writer on the official clients.
//
//	peer api publish|commit <set>   HTTP → stream; commit: group commit by atomic batches (ADR-50)
//	peer indexer <set>               stream → esutil.BulkIndexer → Elasticsearch
//	peer writer <set>                stream → gocql, batches of one partition → Cassandra
//
// Everything else comes by environment, see need(). A set is a part of the stream: subjects peer.<set>.>, consumers
// <set>_indexer and <set>_writer.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const stream = "PEERS"

func need(name string) string {
	value := os.Getenv(name)
	if value == "" {
		log.Fatalf("the environment lacks %s", name)
	}
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: peer api publish|commit <set> | indexer <set> | writer <set>")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	nc, err := nats.Connect(need("PEER_NATS"), nats.UserInfo(need("PEER_USER"), need("PEER_PASSWORD")))
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4000))
	check(err)
	switch os.Args[1] {
	case "api":
		api(ctx, nc, js, os.Args[2], os.Args[3])
	case "indexer":
		indexer(ctx, js, os.Args[2])
	case "writer":
		writer(ctx, js, os.Args[2])
	default:
		log.Fatalf("there is no part %q", os.Args[1])
	}
}
