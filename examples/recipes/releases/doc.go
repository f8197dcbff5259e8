// Package releases is a recipe: how kinds, methods, fields and replies change over
// releases while the cluster runs.
//
// # The problem
//
// During a deploy, and after a rollback, nodes of two releases work beside each other. A
// session may live on a node of either, and every node may call it.
//
// # The rule: expand, both, contract
//
// Each change takes up to three releases, and each of these can be rolled back by one.
//
//	expand     the new thing is there, and nothing depends on it
//	both       everybody uses the new thing, and the old one still works
//	contract   the old thing goes
//
//	what changes                  expand                   both                    contract
//	a new kind                    give it to all nodes     start sessions of it    -
//	a new method, notice, event   bind the handler         call it, set timers     -
//	a method that goes            -                        call it no more         remove the handler
//	a method with other types     bind one of a new name   call the new one        remove the old one
//	a new field of a state        add it, zero is valid    rely on it              -
//	a field that goes             -                        write it, do not read   remove it
//	a field with another name     write both, read old     write both, read new    remove the old one
//	a new field of a reply        fill it                  callers read it         -
//	a new field of a request      handlers read it         callers fill it         -
//
// Until step "both" is everywhere, and for as long as it may be rolled back, a caller must
// take a zero in a new field for "not known", and a handler in a request for "not said".
// Choose fields so that zero is what the old release meant.
//
// # What the library does for you
//
//   - Structs travel by field name. A field that the receiver does not have is skipped in
//     a message. In a state it is kept, and written again when the session moves on, so
//     that a session that passes through an older node loses nothing. This holds for the
//     fields of the state itself, not for structs inside it, and not for states with a
//     MarshalState of their own.
//   - What a node lacks is an error and no guess: ErrUnknownKind, ErrUnknownMethod.
//   - A session moves only to nodes that have its kind, its schema, and the notices of its
//     timers, watches and waiting casts. Otherwise it stays where it is and is called there.
//   - Nodes that differ name the differences in their logs and in node.Node.Health.
//
// # What goes wrong otherwise
//
//   - Handlers and callers in one release: during the deploy a part of the calls fails with
//     ErrUnknownMethod.
//   - A field that changes its type under the same name: the other release cannot decode
//     the state, and the session stays on its node. Take a new name.
//   - A notice is removed while timers for it are set: their sessions cannot move to the
//     new release. First set no more, and wait for as long as the longest timer runs.
//   - A new field in a struct inside the state: an older node that has the session drops
//     it. Put it into the state itself, or expect it to be zero.
//   - A new meaning of an old field: nobody can tell. Take a new name.
//
// # Schema and Migrate
//
// KindConfig.Schema is for changes that an older release must not see. Nodes of a lower
// schema refuse the session; those of the new one bring older states up with Migrate (see
// the example of sessionproc.MigrateFrom). The price is the rollback: sessions of the
// higher schema end with the last node that has it, and its Leave says how many. A field
// beside the old one costs one release more, and nothing then.
//
// # What a rollback needs
//
// Roll back by one release at a time. What the release before does not have must not be in
// use yet, or must have been only kept: unknown fields are, unknown methods are not called,
// timers for unknown notices are not set. Go back from "both" to "expand", never to a
// release before it.
//
// # How to test it
//
// nodetest.CheckKind writes what a release sends into golden files, which are committed.
// Every later release must still understand each of them. A test with two kinds of one
// name on two nodes, as in example_test.go, shows a session in both.
package releases
