// Package sessionhttp connects browsers to sessions. It has a net/http middleware
// that keeps a session ID in a signed cookie, and what handlers need beside it: to end
// a session ([Sessions.Destroy]), to give it a new ID at a login ([Sessions.Renew]), to
// answer with an error ([WriteError]), and to send its events to the page ([Events]).
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
// It works with everything that takes or gives a [net/http.Handler]. The example of
// node.RunUntilSignal is a whole web server, from its start to its shutdown.
//
// # The cookie
//
// The value is the session ID, a dot, and an HMAC-SHA256 of the cookie's name
// and the ID. Nothing is stored on the server. Nothing is encrypted, as the ID says
// nothing. Because of the HMAC no client can make up an ID: it cannot
// address a session that was started under another name ("user_42"), or crowd one
// node with IDs that hash to it. A request without a cookie, or with one that we
// did not sign, gets a new ID before the handler runs; what the client sent
// is not passed on. The prefix "__Host-" of the cookie's name keeps other hosts of the
// same domain from planting somebody else's signed cookie.
//
// The cookie is HttpOnly, Secure and SameSite=Lax unless [Config] says otherwise. Clients
// drop a Secure cookie on plain HTTP, so that each request has a new ID: set
// Config.Insecure in development, and nowhere else. SameSite=Lax keeps other sites' POST
// requests from carrying it; [net/http.CrossOriginProtection] is the second lock for
// handlers that change something.
//
// # Logging in
//
// Somebody else may know the ID that a browser has before its login: they can visit the
// site and plant their own cookie. So give the session a new ID first, and tell it
// afterwards who has logged in:
//
//	r, err := web.Renew(w, r, n)
//	...
//	id, _ := sessionhttp.ID(r.Context()) // the new one
//	_, err = cart.Login.Call(r.Context(), n, id, user)
//
// # New visitors and lost sessions
//
// The middleware never starts, looks up or calls a session. An ID costs nothing until a
// handler uses it, so crawlers that never send a cookie back leave nothing behind.
// A session that is missing is one that was never started, has ended, or was lost with
// its node. [IsNew] says that the ID was made for this very request, so that there
// cannot have been a session.
//
// A browser that sends its first requests in parallel gets an ID for
// each and keeps the one that arrives last. A page that is loaded before its
// scripts call back has no such problem.
//
// # Caches
//
// Answers behind the middleware depend on the cookie, so each
// carries "Vary: Cookie" and, unless the handler says otherwise,
// "Cache-Control: private". Keep files that are the same for everybody outside
// of the middleware: an answer that is public must not set a cookie.
//
// # Rotation of keys
//
// The first key signs, all of them verify. Put the new key in front on all
// replicas, and keep the old one behind it for as long as old cookies shall live. A
// browser that comes with an old one keeps its ID and gets a fresh signature.
// While replicas are restarted one by one, do it in two steps: first add the
// new key at the end everywhere, then move it to the front.
//
// One case remains. A request that is on its way while the session is renewed, with a
// cookie that an old key signed, and that makes no call to the session afterwards, can
// bring the old ID back to the browser. Log in from a page that was loaded before, as
// every login form does.
package sessionhttp
