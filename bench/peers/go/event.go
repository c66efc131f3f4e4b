package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/fnv"
	"time"
)

// event is what the peers look at of a CloudEvent.
type event struct {
	SpecVersion string         `json:"specversion"`
	Type        string         `json:"type"`
	Source      string         `json:"source"`
	ID          string         `json:"id"`
	Time        time.Time      `json:"time"`
	Subject     string         `json:"subject"`
	Data        map[string]any `json:"data"`
}

func parse(raw []byte) (*event, error) {
	var found event
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, err
	}
	if found.SpecVersion != "1.0" || found.Type == "" || found.Source == "" || found.ID == "" || found.Data == nil {
		return nil, errors.New("not a CloudEvent with data")
	}
	return &found, nil
}

// key is a UUID's text made of who the event is.
func (e *event) key() string {
	sum := sha256.Sum256([]byte(e.Source + "\x00" + e.ID))
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// partition is one of 64 by the event's subject.
func (e *event) partition() int16 {
	hash := fnv.New32a()
	hash.Write([]byte(e.Subject))
	return int16(hash.Sum32() % 64)
}

// record is the document of both stores.
func (e *event) record(key string, raw []byte) []byte {
	entity, _ := json.Marshal(e.Subject)
	out := make([]byte, 0, len(raw)+160)
	out = append(out, `{"key":"`...)
	out = append(out, key...)
	out = append(out, `","time":"`...)
	out = e.Time.UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z")
	out = append(out, `","entity":`...)
	out = append(out, entity...)
	out = append(out, `,"event":`...)
	out = append(out, raw...)
	return append(out, '}')
}
