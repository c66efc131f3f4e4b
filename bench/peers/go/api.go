package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// put stores events and returns the sequence of the last.
type put func(ctx context.Context, subjects []string, events [][]byte) (uint64, error)

func api(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, mode, set string) {
	store := publish(js)
	if mode == "commit" {
		committer := newCommitter(nc)
		go committer.run()
		store = committer.put
	}
	authorization := []byte("Bearer " + need("PEER_KEY"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	mux.HandleFunc("POST /v1/events", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), authorization) != 1 {
			http.Error(w, "who are you?", 401)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		items := []json.RawMessage{body}
		if len(body) > 0 && body[0] == '[' {
			items = nil
			if err := json.Unmarshal(body, &items); err != nil {
				http.Error(w, err.Error(), 400)
				return
			}
		}
		subjects, raws := make([]string, len(items)), make([][]byte, len(items))
		for i, raw := range items {
			found, err := parse(raw)
			if err != nil {
				http.Error(w, err.Error(), 400)
				return
			}
			subjects[i], raws[i] = "peer."+set+"."+found.Type, raw
		}
		last, err := store(r.Context(), subjects, raws)
		if err != nil {
			http.Error(w, err.Error(), 503)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(202)
		fmt.Fprintf(w, `{"accepted":%d,"sequence":%d}`, len(items), last)
	})
	server := &http.Server{Addr: "127.0.0.1:" + need("PEER_PORT"), Handler: mux}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		check(err)
	}
}

// publish waits for the stream's answer to one event, and sends those of a batch asynchronously.
func publish(js jetstream.JetStream) put {
	return func(ctx context.Context, subjects []string, events [][]byte) (uint64, error) {
		if len(events) == 1 {
			ack, err := js.Publish(ctx, subjects[0], events[0])
			if err != nil {
				return 0, err
			}
			return ack.Sequence, nil
		}
		futures := make([]jetstream.PubAckFuture, len(events))
		for i := range events {
			future, err := js.PublishAsync(subjects[i], events[i])
			if err != nil {
				return 0, err
			}
			futures[i] = future
		}
		var last uint64
		for _, future := range futures {
			select {
			case ack := <-future.Ok():
				last = ack.Sequence
			case err := <-future.Err():
				return 0, err
			case <-time.After(10 * time.Second):
				return 0, context.DeadlineExceeded
			}
		}
		return last, nil
	}
}
