package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

//go:embed page/art.svg
var pageArt string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// policy lets the page run its own style and script, which are inside it, talk
// to where it came from, and nothing else. One request loads all of it.
var policy = "default-src 'none'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"img-src data:" +
	"; style-src " + hashSource(pageCSS) + "; script-src " + hashSource(pageJS)

func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// state is what a browser is shown, as a page or as JSON.
type state struct {
	Lines    []line   `json:"lines"` // one for each tea of the catalogue, also where Qty is 0
	Count    int      `json:"count"`
	Total    string   `json:"total"`
	Changes  int      `json:"changes"`
	Started  bool     `json:"started"` // there is a cart, maybe an empty one
	Replicas []string `json:"replicas,omitempty"`
	Hop      *hop     `json:"hop,omitempty"` // nil: no request has led to this
}

// line is one tea and how much of it is in the cart.
type line struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Note  string `json:"-"`
	Price string `json:"-"`
	Qty   int    `json:"qty"`
	Sum   string `json:"sum"`
}

// hop is the way that one request took.
type hop struct {
	Served    string `json:"served"` // the replica that answered the browser
	Owner     string `json:"owner"`  // the node that the session lives on
	Forwarded bool   `json:"forwarded"`
	Took      string `json:"took"`    // from the handler to the session and back
	Session   string `json:"session"` // in its form for logs
	Partition int    `json:"partition"`
	Way       string `json:"way"` // the two ends of a forwarded request, as pair writes them
}

// Pair names two replicas of the picture, by their index, in the order of the
// alphabet.
func (s state) Pair(a, b int) string { return pair(s.Replicas[a], s.Replicas[b]) }

func pair(a, b string) string { return min(a, b) + "-" + max(a, b) }

// stateOf prices a view.
func stateOf(v View) state {
	st := state{Lines: make([]line, 0, len(teas)), Changes: v.Changes, Started: v.Changes > 0}
	total := 0
	for _, t := range teas {
		qty := v.Items[t.SKU]
		st.Count += qty
		total += qty * t.Price
		st.Lines = append(st.Lines, line{
			SKU: t.SKU, Name: t.Name, Note: t.Note, Price: euros(t.Price), Qty: qty, Sum: euros(qty * t.Price),
		})
	}
	st.Total = euros(total)
	return st
}

// writePage writes the whole page; it works without its script, too.
func (s *shop) writePage(w http.ResponseWriter, _ *http.Request, st state) {
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		state
		CSS template.CSS
		JS  template.JS
		Art template.HTML
	}{st, template.CSS(pageCSS), template.JS(pageJS), template.HTML(pageArt)})
	if err != nil {
		s.logger.Error("page template failed", "err", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	page.WriteTo(w)
}
