// Package child runs a part of this program, a role, in a second process of
// itself: so a test or benchmark can have nodes in processes of their own
// without a program to build first.
package child

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Role is what a child process does. It starts its work and returns what the
// parent has to know (an address, say) and a function that ends it. arg is the
// JSON of what the parent gave to Start.
type Role func(arg []byte) (hello string, stop func() error, err error)

// argument marks a child on its command line.
const argument = "sessionproc-child"

// Main returns at once in a process that Start did not start. In one that it
// did, it runs the role and exits. Call it before flags are parsed.
func Main(roles map[string]Role) {
	name, arg, ok := Invoked()
	if !ok {
		return
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "child: no role %q\n", name)
		os.Exit(2)
	}
	if err := run(role, arg); err != nil {
		fmt.Fprintf(os.Stderr, "child: %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Invoked returns the role of this process and the JSON of its argument. ok is
// false in a process that Start or Command did not make. It is for roles that
// speak with their parent in their own way; Main serves the others.
func Invoked() (role string, arg []byte, ok bool) {
	if len(os.Args) != 4 || os.Args[1] != argument {
		return "", nil, false
	}
	return os.Args[2], []byte(os.Args[3]), true
}

// Command returns the command, not started yet, that runs role in a child; exe
// is the program, "" this one.
func Command(exe, role string, arg any) (*exec.Cmd, error) {
	text, err := json.Marshal(arg)
	if err != nil {
		return nil, fmt.Errorf("child: encode argument: %w", err)
	}
	if exe == "" {
		if exe, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("child: %w", err)
		}
	}
	return exec.Command(exe, argument, role, string(text)), nil
}

// run lives until its standard input ends: also when the parent dies.
func run(role Role, arg []byte) error {
	hello, stop, err := role(arg)
	if err != nil {
		return err
	}
	fmt.Println("ready", hello)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("cpu", int64(CPU()))
	}
	return stop()
}

// Process is a child of this process.
type Process struct {
	Hello string // what its role returned
	PID   int

	cmd *exec.Cmd
	mu  sync.Mutex // guards in and out: one question at a time
	in  io.WriteCloser
	out *bufio.Scanner
}

// Start runs role in a child and waits until it says hello. Its standard error
// is ours. End it with Stop or Kill.
func Start(role string, arg any) (*Process, error) {
	cmd, err := Command("", role, arg)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: start: %w", err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if p.Hello, err = p.line("ready"); err != nil {
		p.Kill()
		return nil, fmt.Errorf("child: %s: %w", role, err)
	}
	return p, nil
}

// line reads the child's next line that starts with word.
func (p *Process) line(word string) (string, error) {
	for p.out.Scan() {
		if rest, ok := strings.CutPrefix(p.out.Text(), word+" "); ok {
			return rest, nil
		}
	}
	return "", errors.Join(errors.New("it ended without a word"), p.out.Err())
}

// CPU returns the processor time that the child has used so far.
func (p *Process) CPU() (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.in, "cpu\n"); err != nil {
		return 0, fmt.Errorf("child: ask for CPU: %w", err)
	}
	text, err := p.line("cpu")
	if err != nil {
		return 0, fmt.Errorf("child: ask for CPU: %w", err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return time.Duration(n), err
}

// Stop ends the child in an orderly way; one that is not gone within 10
// seconds is killed.
func (p *Process) Stop() error {
	late := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("child: %w", err)
	}
	return nil
}

// Kill ends the child at once, as kill -9 does, also when it is stopped by a
// signal, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	p.in.Close()
	_ = p.cmd.Wait()
}

// Signal sends the child a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }
