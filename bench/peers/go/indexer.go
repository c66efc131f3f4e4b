package main

import (
	"bytes"
	"context"
	"log"
	"time"

	"github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/esutil"
	"github.com/nats-io/nats.go/jetstream"
)

func indexer(ctx context.Context, js jetstream.JetStream, set string) {
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{need("PEER_ELASTICSEARCH")}})
	check(err)
	bulk, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{
		Client: client, Index: need("PEER_INDEX"), NumWorkers: 4, FlushBytes: 1 << 20, FlushInterval: 100 * time.Millisecond,
	})
	check(err)
	consumer, err := js.Consumer(ctx, stream, set+"_indexer")
	check(err)
	external := "external"
	running, err := consumer.Consume(func(message jetstream.Msg) {
		found, err := parse(message.Data())
		if err != nil {
			log.Print(err)
			_ = message.Term()
			return
		}
		facts, err := message.Metadata()
		check(err)
		version, key := int64(facts.Sequence.Stream), found.key()
		check(bulk.Add(ctx, esutil.BulkIndexerItem{
			Action: "index", DocumentID: key, Version: &version, VersionType: external,
			Body: bytes.NewReader(found.record(key, message.Data())),
			OnSuccess: func(context.Context, esutil.BulkIndexerItem, esutil.BulkIndexerResponseItem) {
				_ = message.Ack()
			},
			OnFailure: func(_ context.Context, _ esutil.BulkIndexerItem, item esutil.BulkIndexerResponseItem, err error) {
				if item.Status == 409 {
					_ = message.Ack()
					return
				}
				log.Print(item.Status, item.Error.Reason, err)
				_ = message.NakWithDelay(time.Second)
			},
		}))
	}, jetstream.PullMaxMessages(5000))
	check(err)
	<-ctx.Done()
	running.Stop()
	_ = bulk.Close(context.Background())
}
