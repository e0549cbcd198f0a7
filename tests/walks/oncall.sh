# On call: a provider dies, one is drained, a request is looked at, the gateway is killed, a file is broken.
. "$STEPS"

step "two providers, which are gateways with a demo, and a third model to fall back to"
for each in first second; do
    mkdir $each
    cat >$each/config.toml <<TOML
[overload]
lag = 0   # a machine that runs tests is busy

[store]
url = ""

[providers.demo]
kind = "demo"
token_interval = 0.001

[[models]]
name = "demo"
routes = [{ provider = "demo", model = "demo-1", input_price = 0, output_price = 0 }]
TOML
done
WHERE=first run first --bind "127.0.0.1:$PORT2"
WHERE=second run second --bind "127.0.0.1:$PORT3"
soon curl -sf "http://127.0.0.1:$PORT2/health/ready"
soon curl -sf "http://127.0.0.1:$PORT3/health/ready"
cat >config.toml <<TOML
[overload]
lag = 0   # a machine that runs tests is busy

[server]
bind = "127.0.0.1:$PORT"
state_dir = "state"

[providers.first]
kind = "openai"
base_url = "http://127.0.0.1:$PORT2/v1"

[providers.second]
kind = "openai"
base_url = "http://127.0.0.1:$PORT3/v1"

[providers.demo]
kind = "demo"
token_interval = 0.001

[providers.hanging]
kind = "demo"
token_interval = 1

[[models]]
name = "hanging"
routes = [{ provider = "hanging", model = "demo-1", input_price = 1, output_price = 2 }]

[[models]]
name = "chat"
routes = [
  { provider = "first", model = "demo", input_price = 1, output_price = 2 },
  { provider = "second", model = "demo", input_price = 1, output_price = 2 },
]
fallbacks = ["reserve"]

[[models]]
name = "reserve"
routes = [{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }]
TOML
gateway check
KEY=$(gateway tokens create app)
ADMIN=$(gateway admin-keys create oncall --scope operator)
start main "$PORT"
asked() {
    call "$KEY" /v1/chat/completions -H 'content-type: application/json' -d "$(question chat)" -o /dev/null -D -
}
first() { asked >last.txt && grep -q "x-gateway-provider: first" last.txt; }
soon first

step "the first dies: callers notice nothing, its breaker opens, the log says so"
stop first KILL
for _ in 1 2 3 4 5 6; do asked >last.txt; done
has "HTTP/1.1 200" "x-gateway-provider: second" <last.txt
soon says main.err "circuit breaker opened"
call "$ADMIN" /admin/api/deployments | pick '{each["name"]: each for each in it["rows"]}["first/demo"]' | has open

step "the second is drained by hand: the other model answers, and says so"
gateway deployments drain second/demo --for 600 --reason "on call"
drained() { asked >last.txt && grep -q "x-gateway-fallback: reserve" last.txt; }
soon drained
gateway deployments list | has "second/demo" "on call"
gateway deployments enable second/demo
back() { asked >last.txt && grep -q "x-gateway-provider: second" last.txt; }
soon back

step "the first is back, and gets requests again"
WHERE=first run first --bind "127.0.0.1:$PORT2"
soon curl -sf "http://127.0.0.1:$PORT2/health/ready"
gateway deployments reset first/demo
soon first

step "what went wrong with one request, by the id that its caller has"
ID=$(sed -n 's/^x-request-id: \([^[:space:]]*\).*/\1/p' last.txt)
shown() { call "$ADMIN" "/admin/api/requests/$ID" | grep -q '"tried"'; }
soon shown
call "$ADMIN" "/admin/api/requests/$ID" | pick 'it["rows"][0]["provider"]' | has first
call "$ADMIN" '/admin/api/requests?since=1h&status=error' | pick 'it["rows"]' | has "[]"

step "one key is captured for a while, and its request shown whole"
gateway debug capture app --for 600 --reason "odd answers"
captured() { asked >last.txt && ls state/debug/*/*.gz; }
soon captured
gateway debug show "$(sed -n 's/^x-request-id: \([^[:space:]]*\).*/\1/p' last.txt)" | has "Hello!"
gateway debug windows | has app
gateway debug stop app

step "a stream that hangs is found and cancelled"
ask "$KEY" hanging '"stream": true' >stream.txt &
asking=$!
soon says stream.txt data:
call "$ADMIN" /admin/api/in-flight >flight.txt
same "$(pick 'len(it["rows"])' <flight.txt)" 1
ID=$(pick 'it["rows"][0]["request_id"]' <flight.txt)
call "$ADMIN" "/admin/api/in-flight/$ID/cancel" -X POST >cancel.txt
wait $asking || true
has cancelled_by_operator <stream.txt

step "it is killed, and goes on where it was: no key, no budget and no record is lost"
soon shown   # of the stream that was cancelled, and so of all before it
before=$(call "$ADMIN" '/admin/api/requests?limit=1000' | pick 'len(it["rows"])')
stop main KILL
start main "$PORT"
asked | has "HTTP/1.1 200"
counted() { call "$ADMIN" '/admin/api/requests?limit=1000' | pick 'len(it["rows"])' | grep -qx "$((before + 1))"; }
soon counted

step "a broken file does no harm"
cp config.toml good.toml
sed -i 's/^name = "reserve"/name = 5/' config.toml
exits 1 gateway reload | has name
asked | has "HTTP/1.1 200"
call "$ADMIN" /admin/api/status | pick 'it["config"]["generation"]' >generation.txt
cp good.toml config.toml

step "a key has leaked: it is revoked at once"
gateway tokens create new-app >new.txt
gateway tokens revoke app
revoked() { [ "$(code "$KEY" /v1/models)" = 401 ]; }
soon revoked
gateway audit list | has token_revoked deployment_drained capturing_started breaker_reset
stop main
