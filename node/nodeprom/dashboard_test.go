package nodeprom_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/stretchr/testify/require"
)

// v1 is the schema that each release of Grafana imports; the one that is to be preferred is for the newest ones.
//
//lint:ignore SA1019 so it is meant
type v1 = dashboard.Dashboard

// The dashboard has what Grafana's schemas of dashboards, panels and queries ask for, and nothing that they do not know.
func TestDashboardIsAsGrafanasSchemaSays(t *testing.T) {
	r := cog.NewRuntime()
	r.RegisterPanelcfgVariant(stat.VariantConfig())
	r.RegisterPanelcfgVariant(table.VariantConfig())
	r.RegisterPanelcfgVariant(timeseries.VariantConfig())
	r.RegisterDataqueryVariant(prometheus.VariantConfig())
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var faults cog.BuildErrors // what has none returns an empty one, in place of nil
	require.ErrorAs(t, new(v1).UnmarshalJSONStrict(text), &faults)
	require.Empty(t, faults)
	var d v1
	require.NoError(t, json.Unmarshal(text, &d))
	require.NoError(t, d.Validate())
	panels := 0
	for _, p := range d.Panels {
		if p.Panel != nil {
			require.NotEmpty(t, p.Panel.Targets)
			require.IsType(t, new(prometheus.Dataquery), p.Panel.Targets[0], "not decoded as a query of any data source")
			panels++
		}
	}
	require.Greater(t, panels, 40)
}
