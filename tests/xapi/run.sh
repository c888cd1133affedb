#!/usr/bin/env bash
# Stores and reads statements and documents with real xAPI clients from their own packages.
#
# Usage: run.sh ENDPOINT KEY SECRET
#
# Needs node with npm and python3 with venv; what is missing is left out aloud. The packages are installed by name
# into a temporary directory that is removed at the end. One line for each case: `ok <client> <case>` or
# `failed <client> <case>: <why>`. Exit status 1 when a case failed or nothing ran at all.
set -euo pipefail

if [[ $# -ne 3 ]]; then
    echo "usage: $0 ENDPOINT KEY SECRET" >&2
    exit 2
fi
export XAPI_ENDPOINT=$1 XAPI_KEY=$2 XAPI_SECRET=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/*.mjs "$here"/*.py "$work"
cd "$work"
ran=0 failed=0

if command -v npm >/dev/null; then
    npm init -y >/dev/null
    npm install --silent @xapi/xapi tincanjs >/dev/null
    npm ls --depth=0 | grep -E '@xapi/xapi|tincanjs' || true
    for script in xapi.mjs tincan.mjs; do
        ran=1
        node "$script" || failed=1
    done
else
    echo "skipped node: there is no npm"
fi

if command -v python3 >/dev/null; then
    python3 -m venv venv
    venv/bin/pip install --quiet tincan
    venv/bin/pip list 2>/dev/null | grep -i tincan
    ran=1
    venv/bin/python tincan_client.py || failed=1
else
    echo "skipped python: there is no python3"
fi
[[ $ran -eq 1 && $failed -eq 0 ]]
