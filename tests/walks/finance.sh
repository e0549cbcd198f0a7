# Finance: prices, teams and budgets, what each cost, files that add up, and what happens when it is spent.
. "$STEPS"

step "a model with prices, one without: the check says which has none"
cat >config.toml <<TOML
[overload]
lag = 0   # a machine that runs tests is busy

[server]
bind = "127.0.0.1:$PORT"
drain_delay = 0   # and no load balancer has to notice

[providers.demo]
kind = "demo"
token_interval = 0.001

[[models]]
name = "chat"
routes = [{ provider = "demo", model = "demo-1", input_price = 10, output_price = 2000 }]

[[models]]
name = "unpriced"
routes = [{ provider = "demo", model = "demo-2" }]
TOML
gateway check 2>&1 | has "unpriced" "unknown cost"
gateway db upgrade | has "up to date"

step "teams and keys with budgets"
gateway teams create search --rpm 6000 --budget-usd 500
key() { sed -n 's/.*\(sk-[A-Za-z0-9_-]*\).*/\1/p' | head -n 1; }
SEARCH=$(gateway keys create search-app --team search --budget-usd 400 | key)
SMALL=$(gateway keys create small-app --team ads --budget-usd 0.5 --budget-window total | key)
FIGURES=$(gateway admin-keys create finance --scope viewer)
start main "$PORT"

step "requests are paid for, and callers see what is left"
for _ in 1 2 3; do ask "$SEARCH" chat >answer.txt; done
ask "$SEARCH" unpriced >unpriced.txt
ask "$SEARCH" chat >/dev/null
call "$SEARCH" /v1/chat/completions -H 'content-type: application/json' -d "$(question chat)" -o /dev/null -D - |
    has "x-gateway-budget-limit-usd: 400" "x-gateway-budget-remaining-usd: 39"

step "what is spent is refused, with a reason that an SDK does not try again"
tried=0
spent() {
    tried=$((tried + 1))
    ask "$SMALL" chat '"max_tokens": 100' >refused.txt
    [ "$(pick 'it.get("error", {}).get("code")' <refused.txt)" = insufficient_quota ]
}
soon spent

step "the figures of the admin API"
complete() {
    call "$FIGURES" '/admin/api/costs?group_by=team' >costs.txt
    [ "$(pick '{each["team"]: each["requests"] for each in it["rows"]}' <costs.txt)" = "{'search': 6, 'ads': $tried}" ]
}
soon complete
pick '{each["team"]: each["cost_unknown"] for each in it["rows"]}["search"]' <costs.txt | has 1
call "$FIGURES" '/admin/api/usage?group_by=model' | pick '{each["model"]: each["cost_nano_usd"] for each in it["rows"]}["unpriced"]' | has None

step "files for the books, which add up to the same, to the last billionth"
gateway export requests --since 24h -o requests.csv.gz
gateway export usage --period day -o usage.csv
gateway export requests --format jsonl >requests.jsonl
python - <<'PYTHON'
import csv, gzip, json
from decimal import Decimal

costs = json.load(open("costs.txt"))
with gzip.open("requests.csv.gz", "rt", newline="") as file:
    rows = list(csv.DictReader(file))
with open("usage.csv", newline="") as file:
    usage = list(csv.DictReader(file))
lines = [json.loads(line) for line in open("requests.jsonl")]
assert len(rows) == len(lines)
total = sum(int(row["cost_nano_usd"] or 0) for row in rows)
assert total > 0
assert total == sum(int(line["cost_nano_usd"] or 0) for line in lines)
assert total == sum(int(row["cost_nano_usd"] or 0) for row in usage)
assert sum(Decimal(row["cost_usd"] or 0) for row in rows) * 10**9 == total
# By hand: 10 and 2,000 dollars for a million tokens.
for row in rows:
    if row["model"] == "chat" and row["status"] == "200":
        assert int(row["cost_nano_usd"]) == int(row["input_tokens"]) * 10_000 + int(row["output_tokens"]) * 2_000_000
    if row["model"] == "unpriced":
        assert row["cost_nano_usd"] == ""
by_team = {row["team"]: row["cost_nano_usd"] for row in costs["rows"]}
# What was refused since the figures were asked for has cost nothing.
assert sum(value or 0 for value in by_team.values()) == total
small = [row for row in rows if row["token"] == "small-app" and row["status"] == "200"]
# Admitted while less than the budget is spent: the last answer may go beyond it, and no other.
each = [Decimal(row["cost_usd"]) for row in small]
assert sum(each) >= Decimal("0.5") > sum(each) - max(each)
PYTHON

step "metrics and status for alerts: who is near the end of a budget"
METRICS=$(gateway admin-keys create prometheus --scope metrics)
scraped() { call "$METRICS" /metrics | grep -q '^gateway_budget_spent_usd{.*name="small-app"'; }
soon scraped

step "it counts on after a restart, and a key's budget can be looked at"
stop main TERM
start main "$PORT"
spent || fail "the budget began anew: $(cat refused.txt)"
gateway keys show small-app | has 0.5 ads
gateway teams list | has search 500

step "who left: the requests are erased, the sums stay"
gateway erase --token small-app | has "deleted"
gateway export requests --token small-app --format jsonl 2>/dev/null | has_not small-app
gateway export usage --period day --format jsonl 2>/dev/null | has small-app
gateway audit list | has erased exported token_created team_created
gateway audit verify | has "the log is whole"
stop main
