// Package sessionhttp connects browsers to sessions: a net/http middleware
// that keeps a session ID in a signed cookie, and what a handler needs beside it:
// ending a session, giving it a new ID at a login, answering with an error, sending
// its events to the page ([Events]).
//
//	web, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{key}})
//	...
//	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
//		id, _ := sessionhttp.ID(r.Context())
//		view, err := cart.Add.Call(r.Context(), n, id, item)
//		if err != nil {
//			sessionhttp.WriteError(w, err)
//			return
//		}
//		json.NewEncoder(w).Encode(view)
//	})
//	http.ListenAndServe(addr, web.Middleware(mux))
//
// It works with everything that takes or gives an [net/http.Handler].
//
// # The cookie
//
// The value is the session ID, a dot, and an HMAC-SHA256 of the cookie's name
// and the ID. Nothing is stored on the server and nothing is encrypted: the ID
// says nothing. Because of the HMAC no client can make up an ID: it cannot
// address a session that was started under another name ("user_42"), or crowd one
// node with IDs that hash to it. A request without a cookie, or with one that we
// did not sign, gets a new ID before the handler runs; what the client sent
// reaches nobody. That nobody is handed the signed cookie of somebody else by
// another host of the same domain is what the name's prefix "__Host-" is for.
//
// The cookie is HttpOnly, Secure and SameSite=Lax unless [Config] says
// otherwise. SameSite=Lax keeps other sites' POST requests from carrying it;
// [net/http.CrossOriginProtection] is the second lock for handlers that change
// something.
//
// # Logging in
//
// An ID that was there before somebody logs in may be known to others: they can
// have visited the site and planted their own cookie. So give the session a new
// one first:
//
//	r, err := web.Renew(w, r, n)
//	...
//	id, _ := sessionhttp.ID(r.Context())
//	err = cart.SetUser.Cast(r.Context(), n, id, user)
//
// # What it does not do
//
// It never starts, looks up or calls a session: an ID costs nothing until a
// handler uses it, so crawlers that never send a cookie back leave nothing
// behind. A browser that sends its first requests in parallel gets an ID for
// each and keeps the one that arrives last; a page that is loaded before its
// scripts call back has no such problem.
//
// # Caches
//
// What is answered behind the middleware depends on the cookie, so each answer
// carries "Vary: Cookie" and, unless the handler says otherwise,
// "Cache-Control: private". Keep files that are the same for everybody outside
// of the middleware: an answer that is public must not set a cookie.
//
// # Rotation of keys
//
// The first key signs, all of them verify. Put the new key in front on all
// replicas, keep the old one behind it as long as old cookies shall live; a
// browser that comes with an old one keeps its ID and gets a fresh signature.
// While replicas are restarted one by one, do it in two steps: first add the
// new key at the end everywhere, then move it to the front. A request that was on
// its way while the session was renewed, with a cookie that an old key signed and
// no call to the session after that, can bring the old ID back to the browser: log
// in from a page that came before, as every login form does.
package sessionhttp
