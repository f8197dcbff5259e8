package nodeprom_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodeprom"
)

var seriesName = regexp.MustCompile(`sessionproc_[a-z_]+`)

// requireSeries wants a query to name series that an Exporter has, and histograms by their buckets.
func requireSeries(t *testing.T, query string) {
	t.Helper()
	described := nodeprom.Described()
	names := seriesName.FindAllString(query, -1)
	require.NotEmpty(t, names, query)
	for _, name := range names {
		name = strings.TrimPrefix(name, "sessionproc_")
		of, bucket := strings.CutSuffix(name, "_bucket")
		sort, _, _ := strings.Cut(described[of], " ")
		require.NotEmpty(t, sort, "no metric %s in %s", name, query)
		require.Equal(t, sort == "histogram", bucket, "%s in %s", name, query)
	}
}

func TestAlertsNameSeriesThatThereAre(t *testing.T) {
	text, err := os.ReadFile("alerts.yaml")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "sessionproc_") {
			requireSeries(t, line)
		}
	}
}

func TestAlertsFireForWhatTheyAreFor(t *testing.T) {
	require.Contains(t, promtool(t, nil, "check", "rules", "alerts.yaml"), "rules found")
	require.Contains(t, promtool(t, nil, "test", "rules", "testdata/alerts_test.yaml"), "SUCCESS")
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	require.NoError(t, err)
	alerts, err := os.ReadFile("alerts.yaml")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(alerts), -1) {
		require.Contains(t, string(tests), `alertname="`+m[1]+`"`, "no test")
	}
}

// grafanaDashboard is what Grafana needs of one.
type grafanaDashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ H, W, X, Y int }
		Datasource  *struct{ Type, UID string }
		Targets     []struct{ RefID, Expr, LegendFormat string }
		FieldConfig *struct{ Defaults struct{ Unit string } }
	}
}

func TestDashboardIsOneThatGrafanaLoads(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var d grafanaDashboard
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.Title)
	require.NotEmpty(t, d.UID)
	require.GreaterOrEqual(t, d.SchemaVersion, 36)
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	require.Equal(t, []string{"datasource", "job", "instance"}, variables)

	ids, taken := map[int]bool{}, map[[2]int]string{}
	var queries []string
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		require.NotEmpty(t, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Less(t, at[0], 24, p.Title)
				require.Empty(t, taken[at], "%s lies upon it", p.Title)
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Contains(t, []string{"stat", "timeseries", "table"}, p.Type)
		require.NotNil(t, p.Datasource)
		require.Equal(t, "${datasource}", p.Datasource.UID)
		require.NotEmpty(t, p.FieldConfig.Defaults.Unit)
		require.NotEmpty(t, p.Targets)
		for i, target := range p.Targets {
			require.Equal(t, string(rune('A'+i)), target.RefID)
			queries = append(queries, target.Expr)
		}
	}
	requireQueries(t, queries)
}

// requireQueries has promtool parse queries, with values in place of Grafana's variables.
func requireQueries(t *testing.T, queries []string) {
	t.Helper()
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, q := range queries {
		requireSeries(t, q)
		q = strings.NewReplacer("$__rate_interval", "1m", "$job", "web", "$instance", ".*").Replace(q)
		require.NotContains(t, q, "$")
		text, err := json.Marshal(q) // which is YAML, too
		require.NoError(t, err)
		fmt.Fprintf(&rules, "      - {record: q%d, expr: %s}\n", i, text)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	require.Contains(t, promtool(t, nil, "check", "rules", file), fmt.Sprintf("%d rules found", len(queries)))
}

// What is exported is to be seen somewhere.
func TestEachMetricIsOnTheDashboardOrInAnAlert(t *testing.T) {
	var all string
	for _, name := range []string{"dashboard.json", "alerts.yaml"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		all += string(text)
	}
	for name := range nodeprom.Described() {
		require.True(t, regexp.MustCompile("sessionproc_"+name+`(_bucket)?\b`).MatchString(all), name)
	}
}
