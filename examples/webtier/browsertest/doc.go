// Package browsertest drives the shop of examples/webtier in a headless
// Chromium. It is a module of its own so that nobody else gets the browser driver.
package browsertest
