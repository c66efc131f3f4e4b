package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

const mostInBatch = 1000 // the server's limit

// committer stores what comes while one batch waits for the disk as the next batch.
type committer struct {
	nc    *nats.Conn
	queue chan *submission
}

type submission struct {
	subjects []string
	events   [][]byte
	done     chan answer
}

type answer struct {
	sequence uint64
	err      error
}

func newCommitter(nc *nats.Conn) *committer {
	return &committer{nc: nc, queue: make(chan *submission, 20000)}
}

func (c *committer) put(_ context.Context, subjects []string, events [][]byte) (uint64, error) {
	mine := &submission{subjects, events, make(chan answer, 1)}
	c.queue <- mine
	found := <-mine.done
	return found.sequence, found.err
}

func (c *committer) run() {
	var held *submission
	for {
		first := held
		held = nil
		if first == nil {
			first = <-c.queue
		}
		group, size := []*submission{first}, len(first.events)
	gather:
		for {
			select {
			case next := <-c.queue:
				if size+len(next.events) > mostInBatch {
					held = next
					break gather
				}
				group, size = append(group, next), size+len(next.events)
			default:
				break gather
			}
		}
		last, err := c.commit(group, size)
		for _, one := range group {
			one.done <- answer{last, err}
		}
	}
}

func (c *committer) commit(group []*submission, size int) (uint64, error) {
	batch, number := nuid.Next(), 0
	for _, one := range group {
		for i, raw := range one.events {
			number++
			message := &nats.Msg{Subject: one.subjects[i], Data: raw, Header: nats.Header{
				"Nats-Batch-Id": {batch}, "Nats-Batch-Sequence": {strconv.Itoa(number)}}}
			if number < size {
				if err := c.nc.PublishMsg(message); err != nil {
					return 0, err
				}
				continue
			}
			message.Header["Nats-Batch-Commit"] = []string{"1"}
			reply, err := c.nc.RequestMsg(message, 10*time.Second)
			if err != nil {
				return 0, err
			}
			var ack struct {
				Seq   uint64          `json:"seq"`
				Error json.RawMessage `json:"error"`
			}
			if err := json.Unmarshal(reply.Data, &ack); err != nil {
				return 0, err
			}
			if ack.Error != nil {
				return 0, fmt.Errorf("the stream refused a batch: %s", ack.Error)
			}
			return ack.Seq, nil
		}
	}
	return 0, nil
}
