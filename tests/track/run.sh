#!/usr/bin/env bash
# Runs real product-event clients against a Belvedere that is running, and writes down what they send:
#   tests/track/run.sh ADDRESS WRITE_KEY [DIRECTORY]
# Packages come from PyPI and npm into a directory of their own. Needs python3 with venv, node and npm.
set -euo pipefail
address=$1 key=$2 here=$(cd "$(dirname "$0")" && pwd)
packages=${TRACK_PACKAGES:-$(mktemp -d)} fixtures=${3:-$packages/requests}
mkdir -p "$fixtures"
if [[ ! -d $packages/py ]]; then
    python3 -m venv "$packages/py"
    "$packages/py/bin/pip" --quiet --disable-pip-version-check install \
        segment-analytics-python==2.4.0 posthog==7.91.1 rudder-sdk-python==2.1.9
fi
if [[ ! -d $packages/node_modules ]]; then
    npm install --prefix "$packages" --no-audit --no-fund --silent @segment/analytics-node@3.1.0 posthog-node@5.70.0 \
        @rudderstack/rudder-sdk-node@3.0.13 @jitsu/js@1.11.0 @segment/analytics-next@1.84.3 posthog-js@1.449.2 @amplitude/analytics-node@1.5.73 \
        @umami/node@0.4.0 plausible-tracker@0.3.9 jsdom@26
fi
cp "$here/node.mjs" "$packages/node.mjs"
failures=0
run() {
    node "$here/record.mjs" "$address" "$key" "$fixtures/$1.json" "${@:2}" || {
        echo "failed $1"
        failures=$((failures + 1))
    }
}
for client in segment posthog rudderstack; do
    run "$client-python" "$packages/py/bin/python" "$here/python.py" "$client" URL "$key"
done
for client in segment-node posthog-node rudderstack-node jitsu amplitude umami plausible segment-browser posthog-browser b.js; do
    run "$client" node "$packages/node.mjs" "$client" URL "$key"
done
exit $((failures > 0))
