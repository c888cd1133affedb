// Raises one real error through @sentry/browser in headless Chromium, or does what the case says, and waits
// until it has been sent.
//
// Usage: browser.mjs CASE MARKER [DSN]     (DSN also from BELVEDERE_DSN, the browser from CHROMIUM)
//
// Bundles the package, serves browser.html from a free local port (another origin than the DSN's, as
// in production) and reads from the page whether what it sent was accepted. On success the id is printed
// alone on one line and the exit status is 0. The id is the event's unless the case says otherwise.
//
// Cases of the error and what they make the package put on the wire:
//   query    the key in the query string, text/plain, no preflight
//   tunnel   the key nowhere but in the envelope's header `dsn`, sent to /tunnel
//   store    the 5.x package, which posts plain JSON to /store/
//
// Cases of all else:
//   feedback what somebody said about an error
//   logs     two records of `Sentry.logger`; prints the marker, which stands in both
//   session  the session of a page on which an error strikes; prints the release

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const [sdkCase, marker, dsn = process.env.BELVEDERE_DSN] = process.argv.slice(2);

const bundle = await build({
  stdin: {
    contents: `export * from '${sdkCase === 'store' ? 'sentry-browser-5' : '@sentry/browser'}';`,
    resolveDir: import.meta.dirname,
  },
  bundle: true,
  format: 'iife',
  globalName: 'Sentry',
  write: false,
  logLevel: 'error',
});
const files = {
  '/': ['text/html; charset=utf-8', await readFile(new URL('browser.html', import.meta.url))],
  '/sentry.js': ['text/javascript; charset=utf-8', bundle.outputFiles[0].contents],
};
const server = createServer((request, response) => {
  const found = files[new URL(request.url, 'http://page.invalid').pathname];
  response.writeHead(found ? 200 : 404, { 'content-type': found?.[0] ?? 'text/plain' });
  response.end(found?.[1]);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const page = new URL(`http://127.0.0.1:${server.address().port}/`);
page.search = new URLSearchParams({ dsn, case: sdkCase, marker });
const { stdout } = await promisify(execFile)(
  process.env.CHROMIUM ?? 'chromium',
  ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--virtual-time-budget=15000', '--dump-dom', page.href],
  { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
);
server.close();
server.closeAllConnections();

const result = /<output id="result">(.*?)<\/output>/s.exec(stdout)?.[1] ?? 'the page has no result';
const accepted = /^ok ([0-9a-z@.-]+)$/.exec(result);
if (!accepted) {
  console.error(result);
  process.exit(1);
}
console.log(accepted[1]);
