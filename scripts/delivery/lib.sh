# shellcheck shell=bash
# What the shell parts share: how they fail, hand on results and run what may fail. Sourced, never run; it does nothing alone.

shopt -s inherit_errexit
delivery=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$delivery/../.." && pwd)

# fail TITLE LINE: one line that GitHub shows on top of the run, and the end. On standard error, as all such lines, since the
# output may be on its way into a variable or a pipe; GitHub reads both.
fail() {
    local line=${2//'%'/%25}
    line=${line//$'\r'/}
    printf '::error title=%s::%s\n' "$1" "${line//$'\n'/ }" >&2
    exit 1
}

# output NAME VALUE: for later steps, and for whoever reads the log.
output() {
    printf '%s=%s\n' "$1" "$2"
    if [ -n "${GITHUB_OUTPUT:-}" ]; then printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"; fi
}

# need NAME...: every setting is there, or the end, with one line for each that is not.
need() {
    local name missing=0
    for name in "$@"; do
        [ -n "${!name:-}" ] && continue
        python3 "$delivery/explain.py" --setting "$name" || true
        missing=1
    done
    [ "$missing" = 0 ] || exit 1
}

# ask DOING COMMAND...: the command's output; when it fails, its words and what to do as one line, and the end.
ask() {
    local doing=$1 said code=0
    shift
    said=$(mktemp)
    "$@" 2>"$said" || code=$?
    if [ "$code" != 0 ]; then
        python3 "$delivery/explain.py" "$doing" <"$said" || true
        rm -f "$said"
        exit 1
    fi
    rm -f "$said"
}
