# A developer: the demo without a file, the SDK, the first file, the first key, the first mistakes.
. "$STEPS"

step "without any file it is a demo, in memory"
start demo "$PORT"
has "there is no config.toml here, so this is the demo, in memory" "curl " <demo.err
command=$(grep -m1 -o 'curl .*' demo.err)
# On a busy machine it may be told to come back in a moment.
answers() { sh -c "$command" | grep "demo"; }
soon answers

step "the program of the README, with OpenAI's SDK"
python - "$DOCS/README.md" "$PORT" >readme.py <<'PYTHON'
import re, sys
(program,) = re.findall(r"```python\n(from openai.*?)```", open(sys.argv[1]).read(), re.S)
print(program.replace("127.0.0.1:8080", f"127.0.0.1:{sys.argv[2]}"))
PYTHON
python readme.py | has "demo provider"

# On a busy machine it may be told to come back in a moment.
patient=(-f --retry 20)

step "the three APIs, embeddings, models, and paths with slashes too many"
ask anything demo '' "${patient[@]}" | pick 'it["choices"][0]["finish_reason"]' | has stop
call anything /v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \
    -d "$(question demo '"max_tokens": 10')" "${patient[@]}" | pick 'it["type"]' | has message
call anything /v1/responses -H 'content-type: application/json' -d '{"model": "demo", "input": "Hello!"}' "${patient[@]}" |
    pick 'it["status"]' | has completed
call anything //v1//models "${patient[@]}" | pick '[each["id"] for each in it["data"]]' | has "'demo'"
ask anything demo '"stream": true, "max_tokens": 10' "${patient[@]}" | has 'data: {' 'data: [DONE]'

step "what is not served says so"
call anything /v1/assistants -H 'content-type: application/json' -d '{}' | has "/v1/assistants"
same "$(code anything /v1/assistants -H 'content-type: application/json' -d '{}')" 404
same "$(code anything /v1/responses -H 'connection: upgrade' -H 'upgrade: websocket' \
    -H 'sec-websocket-version: 13' -H 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==')" 426
ask anything gpt-9 | pick 'it["error"]["code"]' | has model_not_found

step "nothing was written"
stop demo
rm -f demo.* readme.py
same "$(ls -A)" ""

step "the first file: it is valid, and is never overwritten"
gateway init | has "config.toml" "gateway serve"
gateway check
sed -i 's/^# token_interval = .*/token_interval = 0.001/' config.toml
exits 1 gateway init | has "config.toml"

step "a mistake is named with its place, and nothing is served"
cp config.toml good.toml
printf '\n[[models]]\nname = "fast"\nstrategy = "quickest"\nroutes = [{ provider = "demmo", model = "x" }]\n' >>config.toml
exits 1 gateway check | has "config.toml" strategy quickest lowest_latency
sed -i s/quickest/cheapest/ config.toml
exits 1 gateway serve --bind "127.0.0.1:$PORT" | has demmo "there is no [providers.demmo]"

step "a good change is taken up while it runs, and the reload says how it went"
cp good.toml config.toml
start own "$PORT" config.toml
printf '\n[[models]]\nname = "fast"\nstrategy = "lowest_latency"\nroutes = [{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }]\n' >>config.toml
gateway reload | has "models"
ask anything fast | pick 'it["model"]' | has fast

step "the first key: from then on there are no others"
KEY=$(gateway tokens create me --rpm 600 --expires 90d)
soon says own.err "configuration reloaded"
gateway tokens list | has me
same "$(code wrong /v1/models)" 401
ask "$KEY" fast | pick 'it["usage"]["total_tokens"] > 0' | has True

step "each request is a line on stdout"
stop own
grep -F '"token":"me"' own.out | head -n 1 | pick 'it["end_reason"], it["model"]' | has complete fast
