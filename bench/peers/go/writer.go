package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/apache/cassandra-gocql-driver/v2"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	mostMessages   = 2000
	mostInMutation = 50
	linger         = 100 * time.Millisecond
	inFlight       = 32
)

type row struct {
	event   *event
	key     gocql.UUID
	record  []byte
	message jetstream.Msg
}

type place struct {
	period string
	pp     int16
}

func writer(ctx context.Context, js jetstream.JetStream, set string) {
	host, port, _ := strings.Cut(need("PEER_CASSANDRA"), ":")
	cluster := gocql.NewCluster(host)
	cluster.Port, _ = strconv.Atoi(port)
	cluster.Keyspace = need("PEER_KEYSPACE")
	cluster.Consistency = gocql.LocalQuorum
	cluster.Timeout = 10 * time.Second
	password, err := os.ReadFile(need("PEER_CASSANDRA_PASSWORD_FILE"))
	check(err)
	cluster.Authenticator = gocql.PasswordAuthenticator{
		Username: need("PEER_CASSANDRA_USERNAME"), Password: strings.TrimSpace(string(password)),
	}
	session, err := cluster.CreateSession()
	check(err)
	defer session.Close()
	consumer, err := js.Consumer(ctx, stream, set+"_writer")
	check(err)
	queue := make(chan jetstream.Msg, 2*mostMessages)
	running, err := consumer.Consume(func(message jetstream.Msg) { queue <- message }, jetstream.PullMaxMessages(5000))
	check(err)
	room := make(chan struct{}, inFlight)
	for {
		select {
		case <-ctx.Done():
			running.Stop()
			return
		case first := <-queue:
			for where, rows := range gather(first, queue) {
				for len(rows) > 0 {
					count := min(len(rows), mostInMutation)
					part := rows[:count]
					rows = rows[count:]
					room <- struct{}{}
					go func() {
						write(session, where, part)
						<-room
					}()
				}
			}
		}
	}
}

// gather takes what comes within `linger`, sorted by the partition that it belongs in.
func gather(first jetstream.Msg, queue chan jetstream.Msg) map[place][]row {
	groups := map[place][]row{}
	after := time.NewTimer(linger)
	defer after.Stop()
	message := first
	for count := 1; ; count++ {
		found, err := parse(message.Data())
		if err != nil {
			log.Print(err)
			_ = message.Term()
		} else {
			text := found.key()
			key, err := gocql.ParseUUID(text)
			check(err)
			where := place{found.Time.UTC().Format("2006-01"), found.partition()}
			groups[where] = append(groups[where], row{found, key, found.record(text, message.Data()), message})
		}
		if count == mostMessages {
			return groups
		}
		select {
		case message = <-queue:
		case <-after.C:
			return groups
		}
	}
}

func write(session *gocql.Session, where place, rows []row) {
	batch := session.Batch(gocql.UnloggedBatch)
	for _, one := range rows {
		words, _ := one.event.Data["message"].(string)
		facts, err := one.message.Metadata()
		check(err)
		at := facts.Timestamp.UnixMicro()
		batch.Query("INSERT INTO events (period, pp, key, dataset, record) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
			where.period, where.pp, one.key, "logs", one.record, at)
		batch.Query("INSERT INTO timeline (period, pp, entity, key, type, publisher, summary) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
			where.period, where.pp, one.event.Subject, one.key, one.event.Type, "peer", words[:min(len(words), 200)], at)
	}
	err := batch.Exec()
	for _, one := range rows {
		if err == nil {
			_ = one.message.Ack()
		} else {
			_ = one.message.NakWithDelay(time.Second)
		}
	}
	if err != nil {
		log.Print(err)
	}
}
