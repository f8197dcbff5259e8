package transport_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

// Each number of a Config, set to an extreme, is refused by an error that names it, or works.
func TestExtremesOfAConfigAreRefusedOrWork(t *testing.T) {
	fields := reflect.TypeFor[transport.Config]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if !f.Type.ConvertibleTo(reflect.TypeFor[int64]()) {
			continue
		}
		for _, value := range []int64{math.MinInt64, -1, math.MaxInt64 - 1, math.MaxInt64} {
			t.Run(fmt.Sprint(f.Name, "=", value), func(t *testing.T) {
				var dialer net.Dialer
				cfg := transport.Config{Handshake: hello{}, Handler: handler{},
					Dial: func(ctx context.Context, addr string, _ transport.Class) (net.Conn, error) {
						return dialer.DialContext(ctx, "tcp", addr)
					}}
				reflect.ValueOf(&cfg).Elem().Field(i).SetInt(value)
				a, err := transport.New(cfg)
				if err != nil {
					require.ErrorContains(t, err, "transport: Config."+f.Name+" is ")
					return
				}
				b, err := transport.New(cfg)
				require.NoError(t, err)
				peer := a.Peer(listen(t, b, transport.Calls))
				for range 3 {
					reply, err := peer.Call(t.Context(), &transport.Request{Payload: []byte("hi")})
					require.NoError(t, err)
					require.Equal(t, "hi", string(reply.Payload))
				}
				require.NoError(t, a.Close())
				require.NoError(t, b.Close())
			})
		}
	}
}
