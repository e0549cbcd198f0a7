# What the walks have in common; each begins with `. "$STEPS"`.
#
# A walk runs in an empty folder of its own. `gateway` and `python` are those of the installation that is
# walked through, $PORT, $PORT2 and $PORT3 are free, $DOCS is where README.md and docs/ are.
set -euo pipefail

# A test may have commands forked from a process that has imported the installation's gateway. The
# first `gateway serve` that is started is the installation's program itself all the same.
if [ -n "${FORKS:-}" ]; then
    gateway() { "$PYTHON" -I -S "${STEPS%/*}/forked.py" "$@"; }
fi

step() {
    printf '\n## %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# COMMAND | has TEXT... : it printed each of these.
has() {
    local said text
    said=$(cat)
    for text; do
        case $said in
            *"$text"*) ;;
            *) fail "nowhere «$text» in: $said" ;;
        esac
    done
}

# has_not TEXT <where : it is not there.
has_not() {
    if grep -aF -- "$1"; then fail "«$1» should not be there"; fi
}

# same WHAT WANTED : two texts are equal.
same() {
    [ "$1" = "$2" ] || fail "«$1» where «$2» should be"
}

# exits STATUS COMMAND... : it ends with this status; what it says on either stream is printed.
exits() {
    local wanted=$1 status=0
    shift
    "$@" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || fail "$* ended with $status, not $wanted"
}

# JSON | pick EXPRESSION : what the Python expression makes of the document `it`.
pick() {
    python -I -S -c 'import json, sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# soon COMMAND... : it succeeds within some seconds.
soon() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    "$@" || fail "never: $*"
}

says() {
    grep -qF -- "$2" "$1"
}

# start NAME PORT ARGUMENT... : `gateway serve ARGUMENT...` in the background, ready at PORT. What it says
# is in NAME.err and NAME.out, its process id in NAME.id.
start() {
    local name=$1 port=$2
    shift 2
    run "$name" --bind "127.0.0.1:$port" "$@"
    soon curl -sf "http://127.0.0.1:$port/health/ready"
}

# run NAME ARGUMENT... : the same without waiting for it. It runs in the folder $WHERE, if that is set.
# A fork's id is that of what passes signals on to it, SIGUSR1 as SIGKILL.
declare -A killed_by
run() {
    local name=$1 program=(gateway)
    shift
    killed_by[$name]=KILL
    if [ -n "${FORKS:-}" ] && [ -n "${ran:-}" ]; then
        program=("$PYTHON" -I -S "${STEPS%/*}/forked.py")
        killed_by[$name]=USR1
    fi
    ran=yes
    (cd "${WHERE:-.}" && exec "${program[@]}" serve "$@") >"$name.out" 2>"$name.err" &
    echo $! >"$name.id"
}

# stop NAME [SIGNAL] : and it ends with 0, unless it is killed.
stop() {
    local id status=0 signal=${2:-INT}
    id=$(cat "$1.id")
    if [ "$signal" = KILL ]; then signal=${killed_by[$1]:-KILL}; fi
    kill "-$signal" "$id"
    wait "$id" || status=$?
    rm "$1.id"
    [ "${2:-INT}" = KILL ] || [ "$status" = 0 ] || fail "the gateway $1 ended with $status: $(cat "$1.err")"
}

# Whatever happens, nothing is left running.
trap 'for each in *.id; do if [ -e "$each" ]; then kill -KILL "$(cat "$each")"; fi; done 2>/dev/null' EXIT

# call KEY PATH [CURL'S OPTIONS] : the answer's body, for "" without a key. code KEY PATH ... : its status.
call() {
    local key=$1 path=$2
    shift 2
    curl -sSN --max-time 20 ${key:+-H "authorization: Bearer $key"} "$@" "http://127.0.0.1:$PORT$path"
}

code() {
    call "$@" -o /dev/null -w '%{http_code}'
}

# ask KEY MODEL [MEMBERS [CURL'S OPTIONS]] : a chat completion's body.
ask() {
    call "$1" /v1/chat/completions -H 'content-type: application/json' -d "$(question "$2" "${3:-}")" "${@:4}"
}

question() {
    printf '{"model": "%s", "messages": [{"role": "user", "content": "Hello!"}]%s}' "$1" "${2:+, $2}"
}
