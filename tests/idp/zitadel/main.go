// zitadel's OpenID provider, as the example of its library zitadel/oidc has it, for the tests; loopback only.
//
// Its one argument is an object in JSON: `port` (0: a free one) and `secret` of its clients: `caller`, where users log in,
// and `peergate`, which exchanges their tokens (RFC 8693). When it serves, it prints its issuer, which ends with a slash.
//
// What is not the provider's own are the paths below `/test/`, which count its calls and exchange its key, that access
// tokens are JWTs: those of the example are opaque, and that tokens of both its users may be exchanged.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// settings are what the argument says.
type settings struct {
	Port   int    `json:"port"`
	Secret string `json:"secret"`
}

// withJWTs is the example's storage, whose clients get JWTs.
type withJWTs struct{ *storage.Storage }

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (s withJWTs) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return jwtClient{client}, nil
}

// exchangeable are the example's users, each of whom a client may act for: in the example that is one of the two.
type exchangeable struct{ storage.UserStore }

func (s exchangeable) GetUserByID(id string) *storage.User {
	user := s.UserStore.GetUserByID(id)
	if user == nil {
		return nil
	}
	changed := *user
	changed.IsAdmin = true
	return &changed
}

// server is the provider of the moment, and the calls that it has had.
type server struct {
	mutex    sync.Mutex
	provider http.Handler
	renewed  func() http.Handler
	calls    map[string]int
}

func (s *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	s.mutex.Lock()
	switch {
	case request.URL.Path == "/test/calls":
		_ = json.NewEncoder(writer).Encode(s.calls)
	case request.URL.Path == "/test/rotate":
		// Another storage has another key. That of before is gone at once.
		s.provider = s.renewed()
	default:
		s.calls[request.URL.Path]++
	}
	provider := s.provider
	s.mutex.Unlock()
	if !strings.HasPrefix(request.URL.Path, "/test/") {
		provider.ServeHTTP(writer, request)
	}
}

func main() {
	var set settings
	if err := json.Unmarshal([]byte(os.Args[1]), &set); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", set.Port))
	if err != nil {
		log.Fatal(err)
	}
	issuer := fmt.Sprintf("http://%s/", listener.Addr())
	for _, id := range []string{"caller", "peergate"} {
		storage.RegisterClients(storage.WebClient(id, set.Secret, "http://127.0.0.1:1/callback"))
	}
	users := exchangeable{storage.NewUserStore(issuer)}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	renewed := func() http.Handler {
		return exampleop.SetupServer(issuer, withJWTs{storage.NewStorage(users)}, logger, false)
	}
	fmt.Println("issuer", issuer)
	log.Fatal(http.Serve(listener, &server{provider: renewed(), renewed: renewed, calls: map[string]int{}}))
}
