// Command newsecret prints a new secret for node.Config.Secret on one line.
//
//	go run github.com/sessionproc/sessionproc/node/newsecret
//
// Give the same secret to every node of a cluster, and nobody else.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/sessionproc/sessionproc/node"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "newsecret:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	_, err := fmt.Fprintln(out, node.NewSecret())
	return err
}
