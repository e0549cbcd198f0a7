// A reverse proxy of Go's standard library, as a subject: what Go costs that does nothing but pass
// bytes on and check a key. Build it with: go build -o reverse ./bench/reverse
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	to := flag.String("to", "", "URL of the provider")
	key := flag.String("key", "", "key that callers must show; empty for none")
	flag.Parse()
	target, err := url.Parse(*to)
	if err != nil || target.Host == "" {
		log.Fatalf("-to %q: expected http://HOST:PORT", *to)
	}
	// As the other subjects, it has one core.
	runtime.GOMAXPROCS(1)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 4000, 4000
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // each event at once
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if *key != "" && r.Header.Get("Authorization") != "Bearer "+*key {
			http.Error(w, `{"error":{"message":"wrong key"}}`, http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	log.Fatal(http.ListenAndServe(*listen, handler))
}
