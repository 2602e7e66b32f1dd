//go:build !windows

package systemroots

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// read takes the first of the usual files that holds a certificate.
func read() ([][]byte, error) {
	for _, name := range files {
		b, err := readFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("this machine's root certificates in %s cannot be read", name)
		}
		if ders := certificates(b); len(ders) > 0 {
			return ders, nil
		}
	}
	return nil, errors.New("this machine has no file of root certificates at the usual places (package ca-certificates)")
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
