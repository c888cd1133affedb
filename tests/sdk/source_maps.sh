#!/usr/bin/env bash
# Uploads the source maps of a minified program with the real tool and lets the program fail.
#
# Usage: source_maps.sh DSN TOKEN ORGANISATION PROJECT [BUNDLER]
#
# BUNDLER is esbuild (if left out), webpack, or late: esbuild, with the error before the upload.
# TOKEN is an API token that may upload release files; ORGANISATION and PROJECT are slugs. Needs node with npm.
# The packages are installed by name into a temporary directory that is removed at the end. The program of
# source_maps/src is bundled and minified, given debug ids, uploaded, and run: it reports one real error through
# @sentry/node. On success the last line is
#   ok BUNDLER EVENT-ID
# and the event's frames must name src/pricing.ts, src/checkout.ts and src/main.ts.
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo "usage: $0 DSN TOKEN ORGANISATION PROJECT [esbuild|webpack|late]" >&2
    exit 2
fi
dsn=$1 token=$2 organisation=$3 project=$4 bundler=${5:-esbuild}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/source_maps/src" "$work/src"
cd "$work"

# http://key@host:port/1 -> http://host:port
url=$(sed -E 's#^(https?://)[^@]*@([^/]*)/.*#\1\2#' <<<"$dsn")
release="sdk-runs-$bundler@$RANDOM.$RANDOM.0"

# Otherwise each run would make the same scripts, with the same debug ids.
echo "(globalThis as { run?: string }).run = '$release';" >>src/main.ts

npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @sentry/cli @sentry/node >&2
case $bundler in
esbuild | late)
    npm install --silent --no-audit --no-fund esbuild >&2
    npx esbuild src/main.ts --bundle --minify --sourcemap --platform=node --external:@sentry/node \
        --outfile=dist/app.js >&2
    ;;
webpack)
    npm install --silent --no-audit --no-fund webpack webpack-cli esbuild-loader >&2
    cat >webpack.config.cjs <<'CONFIG'
module.exports = {
  mode: 'production',
  target: 'node',
  entry: './src/main.ts',
  devtool: 'source-map',
  externals: { '@sentry/node': 'commonjs @sentry/node' },
  resolve: { extensions: ['.ts', '.js'] },
  module: { rules: [{ test: /\.ts$/, loader: 'esbuild-loader', options: { target: 'es2022' } }] },
  output: { filename: 'app.js' },
};
CONFIG
    npx webpack >&2
    ;;
*)
    echo "unknown bundler $bundler" >&2
    exit 2
    ;;
esac

cli() {
    SENTRY_URL=$url SENTRY_AUTH_TOKEN=$token npx sentry-cli "$@" >&2
}

fail() {
    BELVEDERE_DSN=$dsn BELVEDERE_RELEASE=$release node dist/app.js "source-maps-$bundler" | tail -n 1
}

cli sourcemaps inject dist
if [[ $bundler == late ]]; then
    event=$(fail)
fi
cli sourcemaps upload --org "$organisation" --project "$project" --release "$release" --wait dist
if [[ $bundler != late ]]; then
    event=$(fail)
fi
if [[ ! $event =~ ^[0-9a-f]{32}$ ]]; then
    echo "failed $bundler"
    exit 1
fi
echo "ok $bundler $event"
