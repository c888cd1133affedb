#!/usr/bin/env bash
# Sends real errors, check-ins, logs, sessions and feedback from the SDKs' own packages.
#
# Usage: run.sh DSN
#
# Needs python3 with venv, node with npm, and Chromium (the variable CHROMIUM names another binary).
# What is missing is left out aloud. The packages are installed by name into a temporary directory that
# is removed at the end. With an API token in BELVEDERE_TOKEN, and curl, what was sent is looked up through
# the API. First the version of each package is printed, then for each case one line:
#   ok <sdk> <case> <id>                    the id of the event or check-in, or a text or release to find it by
#   ok <sdk> <case> <id> shows in <where>   with a token
#   failed <sdk> <case>                     what the SDK or the API said stands above it, on standard error
#   skipped <sdk>: <why>
# Exit status 1 when a case failed or nothing ran at all.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "usage: $0 DSN" >&2
    exit 2
fi
dsn=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# http://key@host:port/1 -> http://host:port and 1
BELVEDERE_ADDRESS=$(sed -E 's#^(https?://)[^@]*@(.*)/[^/]*$#\1\2#' <<<"$dsn")
BELVEDERE_PROJECT=${dsn##*/}
source "$here/shows.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/python.py "$here"/node.mjs "$here"/browser.mjs "$here"/browser.html "$work"
cd "$work"

failures=0
ran=0

# where SDK CASE ID MARKER: sets where Belvedere shows it, the path of its API, and what the answer must match.
where() {
    local sdk=$1 name=$2 id=$3 marker=$4
    case $name in
    check-in | monitor | monitor-failed)
        page=monitors path="monitors/sdk-runs-$sdk/check_ins"
        pattern=$(check_in "$id" "$([[ $name == monitor-failed ]] && echo error || echo ok)")
        ;;
    logs) page=logs path="logs?query=$marker" pattern="\"level\":\"error\",\"body\":\"[^\"]*$marker" ;;
    session | sessions) page=releases path="releases/$id" pattern='"sessions":[1-9]' ;;
    feedback) page=feedback path="feedback?query=$marker" pattern="\"event_id\":\"$id\"" ;;
    attachment) page=issues path="events/$id/attachments" pattern='"name":"stock.csv"' ;;
    *) page=issues path="events/$id" pattern="$marker" ;;
    esac
}

# one SDK CASE COMMAND...: runs COMMAND, whose last line is the id.
one() {
    local sdk=$1 name=$2 marker="$1-$2-$RANDOM$RANDOM" id page path pattern
    shift 2
    ran=$((ran + 1))
    if ! id=$("$@" "$name" "$marker" "$dsn" | tail -n 1) || [[ ! $id =~ ^[0-9a-z@.-]+$ ]]; then
        echo "failed $sdk $name"
        failures=$((failures + 1))
    elif [[ -z ${BELVEDERE_TOKEN:-} ]]; then
        echo "ok $sdk $name $id"
    elif where "$sdk" "$name" "$id" "$marker" && shows "$path" "$pattern"; then
        echo "ok $sdk $name $id shows in $page"
    else
        echo "failed $sdk $name $id is not in $page"
        failures=$((failures + 1))
    fi
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# python_with DIRECTORY PACKAGE...: a fresh environment with the packages.
python_with() {
    local directory=$1
    shift
    python3 -m venv "$directory" && "$directory/bin/pip" --quiet --disable-pip-version-check install "$@"
    "$directory/bin/pip" --disable-pip-version-check freeze | grep -iE '^(sentry[-_]sdk|brotli)=='
}

if ! have python3; then
    echo "skipped python: python3 is missing"
elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "skipped python: its module venv is missing"
else
    python_with env-plain sentry-sdk
    python_with env-brotli sentry-sdk brotli
    python_with env-old 'sentry-sdk<2'
    for name in identity gzip deflate basic authorization dsn-header; do
        one python "$name" env-plain/bin/python python.py
    done
    one python br env-brotli/bin/python python.py
    one python store env-old/bin/python python.py
    for name in monitor monitor-failed logs sessions; do
        one python "$name" env-plain/bin/python python.py
    done
fi

browser=${CHROMIUM:-}
for candidate in chromium chromium-browser google-chrome; do
    if [[ -z $browser ]] && have "$candidate"; then
        browser=$candidate
    fi
done

if ! have node || ! have npm; then
    echo "skipped node: node or npm is missing"
    echo "skipped browser: node or npm is missing"
else
    echo '{"private": true}' >package.json
    npm install --silent --no-audit --no-fund @sentry/node @sentry/browser sentry-browser-5@npm:@sentry/browser@5 esbuild >&2
    npm ls --depth 0 --parseable --long | grep sentry | sed 's/.*://'
    for name in query gzip tunnel attachment check-in monitor monitor-failed logs feedback session sessions; do
        one node "$name" node node.mjs
    done
    if [[ -z $browser ]]; then
        echo "skipped browser: chromium is missing"
    else
        for name in query tunnel store feedback logs session; do
            one browser "$name" env CHROMIUM="$browser" node browser.mjs
        done
    fi
fi

if ((ran == 0)); then
    echo "no case ran" >&2
    exit 1
fi
if ((failures > 0)); then
    echo "$failures of $ran cases failed" >&2
    exit 1
fi
