// Package comingfrom is a recipe: how an application moves here from alexedwards/scs or
// gorilla/sessions.
//
// # What is different
//
// Those libraries keep a map of values under a cookie. A request loads the map, changes
// its copy and stores it, so that of two requests at the same time the later one wins.
// Here a session is a small program of its own: it has a type and handlers, and handles
// one message after the other. Nothing is loaded or stored, and no change is lost between
// two requests.
//
//	scs                              gorilla/sessions               here
//	scs.New(), manager.Store         NewCookieStore(key), …Store    node.Start, sessionhttp.New
//	manager.LoadAndSave(mux)         store.Get(r, "name")           web.Middleware(mux), sessionhttp.ID
//	manager.Put(ctx, "user", v)      s.Values["user"] = v           a notice or method with that meaning
//	manager.GetString(ctx, "user")   s.Values["user"].(string)      a method whose reply has it
//	PopString, flash messages        s.AddFlash, s.Flashes          a method that returns and clears
//	committed by LoadAndSave         s.Save(r, w)                   nothing to do
//	manager.RenewToken(ctx)          none                           web.Renew(w, r, n)
//	manager.Destroy(ctx)             s.Options.MaxAge = -1, Save    web.Destroy(w, r, n)
//	IdleTimeout, Lifetime            Options.MaxAge                 KindConfig.IdleTimeout, Lifetime
//	Cookie.Persist, RememberMe       Options.MaxAge                 sessionhttp.Config.MaxAge
//	manager.Iterate                  none                           n.List, n.TerminateLabelled
//	a store that outlives crashes    a store, or the cookie itself  a database, for what must outlive them
//
// # A handler before and after
//
// With scs:
//
//	func (a *app) add(w http.ResponseWriter, r *http.Request) {
//		cart, _ := a.sessions.Get(r.Context(), "cart").(map[string]int)
//		if cart == nil {
//			cart = map[string]int{}
//		}
//		cart[r.FormValue("sku")]++ // a second request at this moment is lost
//		a.sessions.Put(r.Context(), "cart", cart)
//		fmt.Fprintln(w, cart[r.FormValue("sku")])
//	}
//
// With gorilla/sessions:
//
//	s, err := a.store.Get(r, "shop")
//	cart, _ := s.Values["cart"].(map[string]int)
//	... // as above
//	s.Values["cart"] = cart
//	err = s.Save(r, w) // before the body is written
//
// Here the change is a method of the state, and the HTTP handler calls it:
//
//	func (c *Cart) add(_ context.Context, sku string) (int, error) {
//		c.Items[sku]++
//		return c.Items[sku], nil
//	}
//
//	func (a *app) add(w http.ResponseWriter, r *http.Request) {
//		id, _ := sessionhttp.ID(r.Context())
//		count, err := Add.Call(r.Context(), a.node, id, r.FormValue("sku"))
//		if err != nil {
//			sessionhttp.WriteError(w, err)
//			return
//		}
//		fmt.Fprintln(w, count)
//	}
//
// Name methods after what the application does (add, pay, login), not "set" and "get". A
// state that is a map[string]any is refused: its values would have no type on the wire.
//
// # What to mind
//
//   - scs ends a session 24 hours after its start, and gorilla's cookies after 30 days.
//     Here nothing ends by itself: set IdleTimeout, and Lifetime if you want it.
//   - RenewToken begins the lifetime anew. Renew does not.
//   - The cookie is Secure by default, and Insecure: true is for plain HTTP in development.
//   - gorilla's CookieStore keeps the data in the browser. Here the browser has an ID only.
//   - KindConfig.StartOnCall starts a session at the first call, as a first Put does there.
//     Give methods that only read NoStart; ErrNotFound then means that nothing is there.
//   - A crash of a node loses its sessions. If that is not acceptable and Redis is, stay.
//     sessionhttp.IsNew tells a new visitor from one whose session is gone.
//
// # How to move users over
//
// Let both run for as long as old sessions live. The old middleware stays around the new
// one; a request whose session is missing reads the old values and starts the session with
// them: Carts.Ensure(ctx, n, id, arg), where arg is what the old session had. Then the old
// session is destroyed. Or have users log in again, which is simpler and often enough.
package comingfrom
