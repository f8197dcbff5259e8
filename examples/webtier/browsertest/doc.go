// Package browsertest drives the shops of examples/webtier and examples/checkout in a headless
// Chromium. It is a module of its own so that nobody else gets the browser driver.
package browsertest
