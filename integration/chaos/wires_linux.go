package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// wires are a network of the run's own: each child has a network namespace, and
// that of the visitor, the hub, has two bridges, near and far, into which the
// others are plugged by veth pairs. The namespaces have no names: they go with
// their processes, however those end, and the links with them.
type wires struct{ hub int } // process ID

// errNotPermitted: this process may not make network namespaces.
var errNotPermitted = errors.New("network namespaces are not permitted here: " +
	"run it as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN")

// separate has a command that is not started yet run in a namespace of its own.
func (w *wires) separate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
}

// host is the address of the child of that number.
func (w *wires) host(number int) string { return fmt.Sprintf("10.77.%d.%d", number/200, number%200+1) }

// lay makes the namespace of process pid the hub.
func (w *wires) lay(ctx context.Context, pid int) error {
	w.hub = pid
	return ip(ctx, pid, "link set lo up",
		"link add near type bridge", "link add far type bridge",
		"address add 10.77.255.254/16 dev near", "link set near up", "link set far up")
}

// plug connects process pid, the child of that number, to the near bridge.
func (w *wires) plug(ctx context.Context, number, pid int) error {
	port := port(number)
	if err := ip(ctx, w.hub, "link add "+port+" type veth peer name eth0 netns "+strconv.Itoa(pid),
		"link set "+port+" master near", "link set "+port+" up"); err != nil {
		return err
	}
	return ip(ctx, pid, "link set lo up", "address add "+w.host(number)+"/16 dev eth0", "link set eth0 up")
}

// move plugs some children over to the bridge near or far: those of one do not
// reach those of the other.
func (w *wires) move(ctx context.Context, bridge string, numbers ...int) error {
	var lines []string
	for _, n := range numbers {
		lines = append(lines, "link set "+port(n)+" master "+bridge)
	}
	return ip(ctx, w.hub, lines...)
}

// set takes a child's link down or up.
func (w *wires) set(ctx context.Context, number int, state string) error {
	return ip(ctx, w.hub, "link set "+port(number)+" "+state)
}

func port(number int) string { return "port" + strconv.Itoa(number) }

// ip has program ip do some lines in the network namespace of a process.
func ip(ctx context.Context, pid int, lines ...string) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(pid), "--net", "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	text, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case bytes.Contains(text, []byte("not permitted")):
		return fmt.Errorf("chaos: ip: %w: %s", errNotPermitted, bytes.TrimSpace(text))
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("chaos: %w: install util-linux and iproute2", err)
	default:
		return fmt.Errorf("chaos: ip: %w: %s", err, bytes.TrimSpace(text))
	}
}

// permitted tells why a process could not be started in its namespace.
func permitted(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w (%w)", errNotPermitted, err)
	}
	return err
}
