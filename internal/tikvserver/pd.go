package tikvserver

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/util/codec"
)

// standinHash is what the stand-in gives as the commit that it was built from.
const standinHash = "tito-standin"

// Region is a range of keys that one group of stores serves. Start is its first
// key and End the first one after it; an empty End is the end of all keys.
type Region struct {
	ID         uint64
	Start, End []byte
}

// Regions returns all regions in the order of their keys, as PD knows them.
func (c *Cluster) Regions(ctx context.Context) ([]Region, error) {
	var answer struct {
		Regions []struct {
			ID       uint64 `json:"id"`
			StartKey string `json:"start_key"`
			EndKey   string `json:"end_key"`
		} `json:"regions"`
	}
	if err := c.ask(ctx, "regions", &answer); err != nil {
		return nil, err
	}
	regions := make([]Region, 0, len(answer.Regions))
	for _, r := range answer.Regions {
		start, err := rawKey(r.StartKey)
		if err != nil {
			return nil, err
		}
		end, err := rawKey(r.EndKey)
		if err != nil {
			return nil, err
		}
		regions = append(regions, Region{r.ID, start, end})
	}
	slices.SortFunc(regions, func(a, b Region) int { return bytes.Compare(a.Start, b.Start) })
	return regions, nil
}

// rawKey decodes a region's border: keys are stored in an encoding that keeps
// their order, and PD prints that in hexadecimal.
func rawKey(printed string) ([]byte, error) {
	encoded, err := hex.DecodeString(printed)
	if err != nil || len(encoded) == 0 {
		return nil, err
	}
	_, raw, err := codec.DecodeBytes(encoded, nil)
	return raw, err
}

// Split makes each key the first one of a region. It returns when PD sends clients
// to the new regions; clients that have cached the old ones find out by themselves.
func (c *Cluster) Split(ctx context.Context, keys ...[]byte) error {
	err := c.withClient(func(client *txnkv.Client) error {
		_, err := client.SplitRegions(ctx, keys, false, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("tikvserver: split: %w", err)
	}
	err = retry(ctx, func(ctx context.Context) error {
		regions, err := c.Regions(ctx)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !slices.ContainsFunc(regions, func(r Region) bool { return bytes.Equal(r.Start, key) }) {
				return errors.New("PD does not know the new regions yet")
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tikvserver: split: %w", err)
	}
	return nil
}

// storeUp returns nil if a store is up, and whether it is the stand-in.
func (c *Cluster) storeUp(ctx context.Context) (standin bool, err error) {
	var answer struct {
		Stores []struct {
			Store struct {
				State   string `json:"state_name"`
				GitHash string `json:"git_hash"`
			} `json:"store"`
		} `json:"stores"`
	}
	if err := c.ask(ctx, "stores", &answer); err != nil {
		return false, err
	}
	states := []string{}
	for _, s := range answer.Stores {
		if s.Store.State == "Up" {
			return s.Store.GitHash == standinHash, nil
		}
		states = append(states, s.Store.State)
	}
	return false, fmt.Errorf("PD knows no store that is up, only %q", states)
}

// ask gets something from the HTTP interface of the first PD that answers.
func (c *Cluster) ask(ctx context.Context, what string, answer any) error {
	var errs []error
	for _, endpoint := range c.pd {
		err := get(ctx, "http://"+endpoint+"/pd/api/v1/"+what, answer)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func get(ctx context.Context, url string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A connection of its own, so that nothing stays behind.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// probe commits a transaction. A store that has just started may refuse the first
// ones, so it tries until ctx ends.
func (c *Cluster) probe(ctx context.Context) error {
	return c.withClient(func(client *txnkv.Client) error {
		return retry(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			txn, err := client.Begin()
			if err != nil {
				return err
			}
			key := []byte("\x00tito/probe")
			if err := txn.Set(key, []byte("probe")); err != nil {
				return errors.Join(err, txn.Rollback())
			}
			if err := txn.Commit(ctx); err != nil {
				return err
			}
			txn, err = client.Begin()
			if err != nil {
				return err
			}
			if err := txn.Delete(key); err != nil {
				return errors.Join(err, txn.Rollback())
			}
			return txn.Commit(ctx)
		})
	})
}

func (c *Cluster) withClient(f func(*txnkv.Client) error) (err error) {
	client, err := txnkv.NewClient(c.pd)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", strings.Join(c.pd, ","), err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return f(client)
}
