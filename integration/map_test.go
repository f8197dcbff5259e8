package integration_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each test that the map in CONTRIBUTING.md names exists, in the package that it names.
func TestTheMapOfTestsIsTrue(t *testing.T) {
	declared := map[string][]string{} // packages by test
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(source, -1) {
			name := string(m[1])
			if acceptance, _, ok := strings.Cut(name, "_"); ok {
				name = acceptance
			}
			declared[name] = append(declared[name], filepath.ToSlash(filepath.Dir(path))[len("../"):])
		}
		return err
	}))
	text, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	named := 0
	for line := range strings.Lines(string(text)) {
		in := ""
		for _, m := range regexp.MustCompile("`([^`]+)`(:?)").FindAllStringSubmatch(line, -1) {
			name := m[1]
			if m[2] != "" {
				in = name
			}
			if !regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`).MatchString(name) {
				continue
			}
			named++
			require.NotEmpty(t, declared[name], name)
			if in != "" {
				require.Contains(t, declared[name], in, name)
			}
		}
	}
	require.Greater(t, named, 40)
}
