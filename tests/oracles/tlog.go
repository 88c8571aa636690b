// Reads a log's tiles and checkpoint with golang.org/x/mod/sumdb, which nobody of this project wrote.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run tests/oracles/tlog.go FOLDER LOG,WITNESS,… OLDER…
//
// It checks the signatures of FOLDER/checkpoint by the vkeys LOG and WITNESS (Ed25519), every tile and entry under its
// root by an inclusion proof of its own, and that the tree begins with each OLDER, written size:root (base64). One line
// of JSON says how much was checked; any failure ends it with code 1.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// timestampSize is the length of the time in front of a cosignature's bytes.
const timestampSize = 8

// cosignedText is what an Ed25519 witness signs (c2sp.org/tlog-cosignature, "Format"): the note's text after two lines,
// of which the second has the time in seconds.
func cosignedText(seconds uint64, text []byte) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", seconds)), text...)
}

// cosigner lets x/mod's note package check cosignatures.
type cosigner struct {
	name string
	hash uint32
	key  []byte
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

// Verify says whether the bytes of a note's line are a time and the key's signature of text and time.
func (c cosigner) Verify(text, signed []byte) bool {
	if len(signed) != timestampSize+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signed[:timestampSize])
	return ed25519.Verify(c.key, cosignedText(seconds, text), signed[timestampSize:])
}

func verifier(vkey string) note.Verifier {
	parts := strings.SplitN(vkey, "+", 3)
	material, err := base64.StdEncoding.DecodeString(parts[2])
	check(err)
	if material[0] != 4 {
		known, err := note.NewVerifier(vkey)
		check(err)
		return known
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	check(err)
	return cosigner{parts[0], uint32(hash), material[1:]}
}

// tiles reads the files of c2sp.org/tlog-tiles; x/mod's own names have the height in them.
type tiles struct {
	folder string
	read   map[string]bool
}

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var contents [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		content, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		t.read[path] = true
		contents = append(contents, content)
	}
	return contents, nil
}

// entries reads the bundles of raw entries.
func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: 1 << height}
		if rest := size - first; rest < 1<<height {
			tile.W = int(rest)
		}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		content, err := os.ReadFile(filepath.Join(folder, path))
		check(err)
		for len(content) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(content))
			all = append(all, content[2:end])
			content = content[end:]
		}
	}
	return all
}

func main() {
	folder := os.Args[1]
	var known []note.Verifier
	for _, vkey := range strings.Split(os.Args[2], ",") {
		known = append(known, verifier(vkey))
	}
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	check(err)
	opened, err := note.Open(signed, note.VerifierList(known...))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)

	reader := tiles{folder, map[string]bool{}}
	hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, reader)
	all := entries(folder, size)
	for number, entry := range all {
		proof, err := tlog.ProveRecord(size, int64(number), hashes)
		check(err)
		check(tlog.CheckRecord(proof, size, root, int64(number), tlog.RecordHash(entry)))
	}
	if int64(len(all)) != size {
		check(fmt.Errorf("%d entries, %d in the checkpoint", len(all), size))
	}
	for _, older := range os.Args[3:] {
		text, hash, _ := strings.Cut(older, ":")
		before, err := strconv.ParseInt(text, 10, 64)
		check(err)
		olderRoot, err := tlog.ParseHash(hash)
		check(err)
		proof, err := tlog.ProveTree(size, before, hashes)
		check(err)
		check(tlog.CheckTree(proof, size, root, before, olderRoot))
	}
	names := []string{}
	for _, signature := range opened.Sigs {
		names = append(names, signature.Name)
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"origin": lines[0], "entries": size, "root": root.String(), "signed_by": names,
		"unverified_signatures": len(opened.UnverifiedSigs), "tiles": len(reader.read), "older": len(os.Args) - 3,
	}))
}
