#!/usr/bin/env bash
# Sends one real error per SDK, encoding and way of telling the key, from the SDKs' own packages.
#
# Usage: run.sh DSN
#
# Needs python3 with venv, node with npm, and Chromium (the variable CHROMIUM names another binary).
# What is missing is left out aloud. The packages are installed by name into a temporary directory that
# is removed at the end. For each case one line is printed:
#   ok <sdk> <case> <event id>
#   failed <sdk> <case>                what the SDK said stands above it, on standard error
#   skipped <sdk>: <why>
# Exit status 1 when a case failed or nothing ran at all.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "usage: $0 DSN" >&2
    exit 2
fi
dsn=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/python.py "$here"/node.mjs "$here"/browser.mjs "$here"/browser.html "$work"
cd "$work"

failures=0
ran=0

# one SDK CASE COMMAND...: runs COMMAND, whose only output is the event id.
one() {
    local sdk=$1 name=$2 event
    shift 2
    ran=$((ran + 1))
    if event=$("$@" "$name" "$sdk-$name-$RANDOM$RANDOM" "$dsn" | tail -n 1) && [[ $event =~ ^[0-9a-f]{32}$ ]]; then
        echo "ok $sdk $name $event"
    else
        echo "failed $sdk $name"
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
    for name in query gzip tunnel; do
        one node "$name" node node.mjs
    done
    if [[ -z $browser ]]; then
        echo "skipped browser: chromium is missing"
    else
        for name in query tunnel store; do
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
