# Who runs the platform: read-only configuration, keys by scope, metrics, TLS, drains, backups, upgrades.
. "$STEPS"

step "the configuration is read-only, all that is written is elsewhere"
gateway init etc >/dev/null
rm etc/.gitignore
# A machine that runs tests is busy, and nobody waits for the pace of people, nor a load balancer for us.
sed -i -e 's/^# lag = .*/lag = 0/' -e 's/^# token_interval = .*/token_interval = 0.001/' \
    -e 's/^# drain_delay = .*/drain_delay = 0.2/' etc/config.toml
cat >>etc/config.toml <<'TOML'

[providers.people]
kind = "demo"

[[models]]
name = "slow"
routes = [{ provider = "people", model = "demo-1", input_price = 0.15, output_price = 0.60 }]

[[models]]
name = "chat"
routes = [{ provider = "demo", model = "demo-1", input_price = 0.15, output_price = 0.60 }]
TOML
chmod 555 etc
chmod 444 etc/config.toml
export GATEWAY_CONFIG=$PWD/etc/config.toml GATEWAY_STATE_DIR=$PWD/state
KEY=$(gateway tokens create app)
METRICS=$(gateway admin-keys create prometheus --scope metrics)
VIEWER=$(gateway admin-keys create grafana --scope viewer)
start one "$PORT" --workers 2 --state-dir "$PWD/state"
same "$(ls -A etc)" config.toml

step "probes, metrics of all workers, and who may see what"
same "$(code "" /health/live)" 200
ask "$KEY" chat | has choices
for _ in 1 2 3 4 5 6 7 8; do ask "$KEY" chat >/dev/null; done
metrics() { call "$METRICS" /metrics >metrics.txt && grep -q "$1" metrics.txt; }
soon metrics '^gateway_requests_total{.*model="chat".*} 9'
metrics '^gateway_workers 2'
same "$(code "$METRICS" /admin/api/status)" 403
same "$(code "$KEY" /admin/api/status)" 401
call "$VIEWER" /admin/api/status | pick 'sorted(it)' | has store

step "a file that cannot be used changes nothing, and the reload says why"
chmod 644 etc/config.toml
cp etc/config.toml good.toml
echo 'surprise = 1' >>etc/config.toml
exits 1 gateway reload | has surprise
ask "$KEY" chat | has choices
cp good.toml etc/config.toml
gateway reload

step "a backup while it runs, as docs/running.md has it"
mkdir backup
python - "$DOCS/docs/running.md" >backup.py <<'PYTHON'
import re, sys
print(re.search(r"python3 -c '(import sqlite3.*?)' state", open(sys.argv[1]).read(), re.S)[1])
PYTHON
stored() { call "$VIEWER" /admin/api/requests | pick 'len(it["rows"])' | grep -qx "$1"; }
soon stored 10
gateway audit verify >verified.txt
HEAD=$(sed -n 's/^head: //p' verified.txt)
python backup.py state/gateway.db backup/gateway.db
cp -p state/tokens.toml backup/

step "more requests, the machine is lost, and the backup is put back elsewhere"
ask "$KEY" chat | has choices
stop one TERM
rm -r state
mkdir state
cp -p backup/* state/
gateway db check | has "up to date"
start again "$PORT" --state-dir "$PWD/state"
ask "$KEY" chat | has choices
gateway audit verify --expect "$HEAD" | has "the log is whole"
soon stored 11

step "a rolling restart: who is being answered is answered to the end"
ask "$KEY" slow '"stream": true' >stream.txt &
asking=$!
soon says stream.txt data:
stop again TERM
wait $asking
has "data: [DONE]" <stream.txt

step "TLS by the gateway itself"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost' \
    -keyout key.pem -out cert.pem 2>/dev/null
printf '\n[server.tls]\ncert = "%s"\nkey = "%s"\n' "$PWD/cert.pem" "$PWD/key.pem" >>etc/config.toml
run tls --bind "127.0.0.1:$PORT"
soon curl -sf --cacert cert.pem "https://localhost:$PORT/health/ready"
curl -sS --cacert cert.pem --http2 -o /dev/null -w '%{http_version}' "https://localhost:$PORT/health/live" | has 1.1
curl -sS --cacert cert.pem --tls-max 1.1 "https://localhost:$PORT/health/live" 2>&1 | has curl || true
stop tls

step "a configuration of LiteLLM's is taken over, and what has no counterpart is listed"
cat >litellm.yaml <<'YAML'
model_list:
  - model_name: gpt
    litellm_params: { model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY, rpm: 60 }
  - model_name: art
    litellm_params: { model: bedrock/titan, aws_region_name: eu-west-1 }
router_settings: { routing_strategy: least-busy, num_retries: 2 }
litellm_settings: { callbacks: [langfuse] }
YAML
gateway import litellm litellm.yaml --stdout >ours.toml 2>left.txt
has 'api_key = "${OPENAI_API_KEY}"' 'name = "gpt"' <ours.toml
has art callbacks <left.txt
OPENAI_API_KEY=sk-1 gateway check ours.toml
