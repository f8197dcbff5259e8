package main

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sessionproc/sessionproc/node/nodeprom"
)

// metricsPath is where each replica has its metrics. The balancer shows those of the next replica in turn, which
// a real one would keep from browsers.
const metricsPath = "/metrics"

// metricsOf serves what exporter exports, and what the client library knows of the process.
func metricsOf(exporter *nodeprom.Exporter) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(exporter, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// target is one that Prometheus is to scrape, as its http_sd_configs read it.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// serveTargets tells Prometheus where the replicas are.
func (t *tier) serveTargets(w http.ResponseWriter, _ *http.Request) {
	all := []target{}
	for _, r := range t.all() {
		all = append(all, target{[]string{r.at.HTTP}, map[string]string{"replica": r.name}})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all) // fails only when the client has gone
}
