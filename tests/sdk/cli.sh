#!/usr/bin/env bash
# Handles a release with the real sentry-cli, from its own packages: version 3 and version 2.
#
# Usage: cli.sh ADDRESS ORGANISATION PROJECT TOKEN [DSN]
#
# TOKEN is an API token with the scopes read and write. Needs node with npm, and git. With a DSN the tool also
# watches jobs and sends an event; with curl that is looked up through the API.
# What is missing is left out aloud. The packages are installed by name into a temporary directory that
# is removed at the end. For each case one line is printed:
#   ok <version> <case>
#   failed <version> <case>            what the tool said stands above it, on standard error
#   skipped <version>: <why>
# Exit status 1 when a case failed or nothing ran at all.
set -euo pipefail

if [[ $# -ne 4 && $# -ne 5 ]]; then
    echo "usage: $0 ADDRESS ORGANISATION PROJECT TOKEN [DSN]" >&2
    exit 2
fi
for tool in node npm git; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped all: $tool is missing"
        exit 1
    fi
done
export SENTRY_URL=$1 SENTRY_ORG=$2 SENTRY_PROJECT=$3 SENTRY_AUTH_TOKEN=$4
dsn=${5:-}
BELVEDERE_ADDRESS=$1 BELVEDERE_PROJECT=$3 BELVEDERE_TOKEN=$4
source "$(dirname "${BASH_SOURCE[0]}")/shows.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund cli-3@npm:@sentry/cli@3 cli-2@npm:@sentry/cli@2 >&2

mkdir shop
cd shop
git init --quiet --initial-branch main
git remote add origin https://git.example/shop/web.git
commit() {
    git -c user.name='M. de Vries' -c user.email=m.devries@codeland.example commit --quiet --allow-empty --message "$1"
}
commit 'Begin'
first=$(git rev-parse HEAD)
commit 'Fix the till'
commit 'Count the change'

failures=0
ran=0

# one VERSION CASE EXPECTED ARGUMENT...: runs the tool, whose output must contain the words.
one() {
    local version=$1 name=$2 expected=$3 output
    shift 3
    ran=$((ran + 1))
    if output=$("$work/node_modules/cli-$version/bin/sentry-cli" "$@" 2>&1) && [[ $output == *"$expected"* ]]; then
        echo "ok $version $name"
    else
        echo "$output" >&2
        echo "failed $version $name"
        failures=$((failures + 1))
    fi
}

# fails VERSION CASE ARGUMENT...: runs the tool, which must hand on that the command failed.
fails() {
    local version=$1 name=$2
    shift 2
    ran=$((ran + 1))
    if "$work/node_modules/cli-$version/bin/sentry-cli" "$@" >&2; then
        echo "failed $version $name"
        failures=$((failures + 1))
    else
        echo "ok $version $name"
    fi
}

# find_shown VERSION CASE PATH PATTERN: looks up what the tool sent.
find_shown() {
    if ! command -v curl >/dev/null 2>&1; then
        echo "skipped $1 $2-shows: curl is missing"
        return
    fi
    ran=$((ran + 1))
    if shows "$3" "$4"; then
        echo "ok $1 $2-shows in /api/v1/${3%%\?*}"
    else
        echo "failed $1 $2-shows"
        failures=$((failures + 1))
    fi
}

for version in 3 2; do
    release="shop@$version.1.0+$RANDOM"
    one "$version" info "$SENTRY_URL" info
    one "$version" organisations "$SENTRY_ORG" organizations list
    one "$version" projects "$SENTRY_PROJECT" projects list
    one "$version" new "$release" releases new "$release" --url https://git.example/shop/web/releases/1
    one "$version" again "$release" releases new "$release"
    one "$version" commits-auto '' releases set-commits "$release" --auto --ignore-missing
    one "$version" commits-local '' releases set-commits "$release" --local --initial-depth 3
    one "$version" commits-named '' releases set-commits "$release" --commit "shop/web@$first"
    one "$version" finalize "$release" releases finalize "$release"
    one "$version" deploy production deploys new --release "$release" --env production --time 30
    one "$version" deploys production deploys list --release "$release"
    one "$version" list "$release" releases list
    one "$version" show "$release" releases info "$release" --show-projects --show-commits
    one "$version" issues '' issues list
    one "$version" propose "$(git rev-parse --short HEAD)" releases propose-version
    one "$version" delete '' releases delete "$release"
    if [[ -z $dsn ]]; then
        echo "skipped $version monitors and events: no DSN given"
        continue
    fi
    export SENTRY_DSN=$dsn
    slug="sdk-runs-cli-$version"
    schedule=(--schedule '30 3 * * *' --timezone Europe/Amsterdam --check-in-margin 10 --max-runtime 5)
    one "$version" monitor 'stock counted' monitors run "$slug" "${schedule[@]}" -- echo 'stock counted'
    find_shown "$version" monitor "monitors/$slug/check_ins?limit=1" "$(check_in '[0-9a-f]+' ok)"
    fails "$version" monitor-failed monitors run "$slug" -- false
    find_shown "$version" monitor-failed "monitors/$slug/check_ins?limit=1" "$(check_in '[0-9a-f]+' error)"
    marker="cli-$version-$RANDOM$RANDOM"
    one "$version" event 'Event' send-event --message 'the order could not be reserved' --tag "run:$marker" \
        --release sdk-runs@1.0.0
    find_shown "$version" event "issues?query=run%3A$marker" '"title":"the order could not be reserved'
    unset SENTRY_DSN
done

if ((failures > 0)); then
    echo "$failures of $ran cases failed" >&2
    exit 1
fi
