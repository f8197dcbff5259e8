// Package logins is a recipe: references between sessions, and what a login does to them.
//
// # The problem
//
// A login renews the ID of the browser's session, so that an ID that was planted or seen
// before is worth nothing (sessionhttp.Sessions.Renew, node.Node.Renew). Whatever else
// has stored the old ID, such as a chat room with a list of its members, then gets
// ErrRenewed for a minute and ErrNotFound after that.
//
// # What to write
//
// Let references point from the browser's session to what has a lasting name, never the
// other way round. A room, a document or the cart of a user is a session of its own, and
// its ID is made of its name:
//
//	room := sessionproc.DeriveID("room", "garden")
//	cart := sessionproc.DeriveID("cart", userID)
//
// The browser's session keeps the name of the room, not the room its browsers. What the
// room has to say it publishes as an event; each page subscribes to it:
//
//	sessionhttp.Events(n, rooms.Said, sessionhttp.EventsConfig[rooms.Line]{
//		Session: func(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
//			return sessionproc.DeriveID("room", r.PathValue("room")), mayEnter(r)
//		},
//	})
//
// To find the sessions of a user, give each the user as a label when it has been renewed.
// Labels move with a session and survive a renewal:
//
//	r, err := web.Renew(w, r, n)
//	id, _ := sessionhttp.ID(r.Context())
//	_, err = cart.Login.Call(r.Context(), n, id, userID)
//
//	func (c *Cart) login(ctx context.Context, user string) (sessionproc.None, error) {
//		c.UserID = user
//		return sessionproc.None{}, sessionproc.FromContext(ctx).SetLabel("user", user)
//	}
//
//	ended, err := n.TerminateLabelled(ctx, "user", userID) // log out everywhere
//
// A session that has to know another one's ID all the same watches it. The message about
// the end of a renewed session has its new ID:
//
//	func (r *Room) gone(ctx context.Context, e sessionproc.Ended) error {
//		delete(r.Members, e.ID)
//		if e.NewID != "" { // it goes on under this one
//			r.Members[e.NewID] = true
//			sessionproc.Watch(ctx, e.NewID, Gone)
//		}
//		return nil
//	}
//
// # Why
//
// The new ID is a secret of the browser and of the cluster. Handlers may have it, as they
// run inside the cluster. Subscribers, pages and logs never get it: somebody who knew the
// old ID would follow the session across the login.
//
// # What goes wrong otherwise
//
//   - Renew after the session was told who logged in: for a moment the old ID is a way to
//     the user's session. Renew first, then tell the session.
//   - The handler goes on with the old request: its ctx has the old ID. Use the request
//     that Renew returns.
//   - Other requests of the browser that were on their way get ErrRenewed, status 409.
//     The page repeats them; the browser has the new cookie by then.
//   - An ID that DeriveID makes is as hard to guess as its name, so it authorises nobody.
//     Check in the HTTP handler who may enter, and never take such an ID from a browser.
//   - A visitor's cart that is to become the user's: read it, add it to the session of
//     DeriveID("cart", user), and then end the visitor's. Each step can be repeated if the
//     items have keys by which the user's cart recognises them.
//
// # Bounds
//
// A session is renewed ten times at once and then once a second (KindConfig.RenewRate). It
// has at most 8 labels. node.Node.List with a label asks all nodes: it
// is for operators and rare events, not for each request. A session whose kind has
// EndOnMove cannot be renewed.
package logins
