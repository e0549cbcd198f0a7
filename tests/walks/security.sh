# Security: an open port, web pages, what a body may choose, keys that leak, the trail, erasure.
. "$STEPS"

step "without keys it is on no address that others reach, and no web page may call it"
exits 1 gateway serve --bind "0.0.0.0:$PORT" | has "[server]" "open = true"
exits 1 gateway serve --bind "[::]:$PORT" | has "open = true"
start demo "$PORT"
says demo.err "this is the demo"
json='content-type: application/json'
same "$(code "" /v1/chat/completions -H 'content-type: text/plain' -d "$(question demo)")" 415
same "$(code "" /v1/chat/completions -H "$json" -H 'origin: https://evil.example' -d "$(question demo)")" 403
same "$(code "" /v1/chat/completions -H "$json" -H 'sec-fetch-site: cross-site' -d "$(question demo)")" 403
same "$(code "" /v1/models -H 'host: rebound.example')" 403
same "$(code "" /v1/chat/completions -H "$json" -d "$(question demo '"max_tokens": 5')" --retry 20)" 200
stop demo

step "a provider that repeats its key, in the middle of it all"
cat >echo.py <<'PYTHON'
"""A provider that quotes the key that it was sent: in headers, errors and answers."""
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["content-length"]))
        key = self.headers["authorization"].removeprefix("Bearer ")
        if b"refuse" in sent:
            status, said = 400, {"error": {"message": f"bad key {key}", "code": "invalid"}}
        else:
            status, said = 200, {
                "id": "x", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": f"your key is {key}"}}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        body = json.dumps(said).replace("-", "\\u002d").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", key)
        self.send_header("openai-organization", key)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
python echo.py "$PORT2" &
echo $! >echo.id
cat >config.toml <<TOML
[overload]
lag = 0   # a machine that runs tests is busy

[server]
bind = "127.0.0.1:$PORT"
drain_delay = 0   # and no load balancer has to notice
state_dir = "state"

[providers.echo]
kind = "openai"
base_url = "http://127.0.0.1:$PORT2/v1"
api_key = "\${PROVIDER_KEY}"

[[models]]
name = "chat"
routes = [{ provider = "echo", model = "m", input_price = 1, output_price = 1 }]

[[models]]
name = "fam/*"
routes = [{ provider = "echo", model = "*", input_price = 1, output_price = 1 }]

[debug_log]
sample = 1.0
TOML
export PROVIDER_KEY=pk-4711-very-secret-provider-key
gateway check
KEY=$(gateway tokens create app --models chat,fam/*)
WIDE=$(gateway tokens create other)
AUDITOR=$(gateway admin-keys create auditor --scope analyst)
start main "$PORT"
for more in '' '"user": "refuse-ann"' '"stream": false, "user": "ann"'; do
    ask "$KEY" chat "$more" -D - >>answers.txt
done
has "***" "your key is" <answers.txt
has_not "$PROVIDER_KEY" <answers.txt

step "what a body may not choose, and names in disguise"
for member in '"models": ["gpt-4o"]' '"provider": {"order": ["x"]}' '"api_base": "http://evil.example"' \
    '"fallbacks": ["gpt-4o"]' '"route": "fallback"' '"custom_llm_provider": "x"'; do
    ask "$KEY" chat "$member" | pick 'it["error"]["code"]' | has override_not_allowed
done
for member in '"Model": "gpt-4o"' '"model\u0000": "gpt-4o"' '"Stream": true' '"ｍodel": "gpt-4o"' '"model ": "gpt-4o"'; do
    ask "$KEY" chat "$member" | pick 'it["error"]["code"] in ("disguised_member", "duplicate_key")' | has True
done
same "$(call "$KEY" /v1/chat/completions -H "$json" -o /dev/null -w '%{http_code}' -d "$(question 'fam/x ')")" 400
same "$(code "$KEY" /admin/api/status)" 401

step "heads that two servers could read in two ways"
for line in 'Content-Length: 1000,1000' 'Transfer_Encoding: chunked' 'Content_Length: 5' ' X-Folded: 1'; do
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n%s\r\nAuthorization: Bearer %s\r\n\r\n' \
        "$line" "$KEY" | curl -sS --max-time 20 "telnet://127.0.0.1:$PORT" >raw.txt || true
    has "HTTP/1.1 400" <raw.txt
    has_not "$KEY" <raw.txt
done

step "keys: refused, revoked, and nowhere to be found"
same "$(code wrong /v1/models)" 401
gateway tokens revoke other
revoked() { [ "$(code "$WIDE" /v1/models)" = 401 ]; }
soon revoked
gateway keys create leaked >leaked.txt
LEAKED=$(sed -n 's/.*\(sk-[A-Za-z0-9_-]*\).*/\1/p' leaked.txt | head -n 1)
rm leaked.txt
known() { [ "$(code "$LEAKED" /v1/models)" = 200 ]; }
soon known
gateway keys revoke leaked
gone() { [ "$(code "$LEAKED" /v1/models)" = 401 ]; }
soon gone

step "users with roles"
printf 'correct horse battery\n' | gateway users create eve --role viewer
curl -sS -c cookies "http://127.0.0.1:$PORT/admin/api/session" -H "$json" \
    -d '{"name": "eve", "password": "correct horse battery"}' | pick 'it["role"]' | has viewer
same "$(curl -sS -b cookies -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/admin/api/audit")" 403
same "$(curl -sS -b cookies -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$PORT/admin/api/reload")" 403

step "erasure: of one person nothing is left, and the trail says that it was done"
recorded() { call "$AUDITOR" '/admin/api/requests?user=ann' | grep -q '"user":"ann"'; }
soon recorded
gateway erase --user ann | has "deleted"
gateway export requests --format jsonl 2>/dev/null | has_not '"ann"'
for each in state/debug/*/*.gz; do gzip -dc "$each" | has_not '"ann"'; done
call "$AUDITOR" '/admin/api/audit?action=erased' | pick 'len(it["rows"]) > 0, "ann" in str(it["rows"])' | has "(True, False)"
gateway audit verify | has "the log is whole"
gateway audit list | has token_created token_revoked erased user_created admin_key_created

step "no secret is on the disk or in a log, and no file is for others to read"
stop main TERM
stop echo KILL
for secret in "$PROVIDER_KEY" "$KEY" "$LEAKED" "$AUDITOR" "correct horse battery"; do
    if grep -raF -- "$secret" state main.out main.err; then fail "a secret is on the disk"; fi
done
find state -type f -perm /077 ! -name gateway.pid ! -name .gitignore >readable.txt
same "$(cat readable.txt)" ""

step "a configuration with a secret in it, for all to read, is noted"
sed -i "s/\\\${PROVIDER_KEY}/$PROVIDER_KEY/" config.toml
chmod 644 config.toml
gateway check 2>&1 | has "can read it"
chmod 600 config.toml
gateway check 2>&1 | has_not "can read it"
