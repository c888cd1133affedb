// Raises one real error through @sentry/node and waits until it has been sent.
//
// Usage: node.mjs CASE MARKER [DSN]        (DSN also from BELVEDERE_DSN)
//
// The marker stands in the error's text, so that the run can be found again. The event carries a
// user, tags, breadcrumbs, a context and a cause. On success the event id is printed alone on one
// line and the exit status is 0; an event that was not accepted gives status 1.
//
// Cases and what they make the package put on the wire:
//   query    the key in the query string, no compression, chunked
//   gzip     the same above 32 KB, where the package compresses by itself
//   tunnel   the key nowhere but in the envelope's header `dsn`, sent to /tunnel

import * as Sentry from '@sentry/node';

const [sdkCase, marker, dsn = process.env.BELVEDERE_DSN] = process.argv.slice(2);

Sentry.init({
  dsn,
  tunnel: sdkCase === 'tunnel' ? new URL('/tunnel', dsn.replace(/\/\/[^@]*@/, '//')).href : undefined,
  release: 'sdk-runs@1.0.0',
  environment: 'test',
  serverName: 'sdk-run',
});

let status;
Sentry.getClient().on('afterSendEvent', (_event, answer) => {
  status = answer.statusCode;
});

Sentry.setUser({ id: '20117', email: 'm.devries@codeland.example' });
Sentry.setTag('sdk_case', `node-${sdkCase}`);
Sentry.setContext('order', { articles: 3, marker });
Sentry.addBreadcrumb({ category: 'navigation', message: '/basket', level: 'info' });
if (sdkCase === 'gzip') {
  Sentry.setExtra('stock', Array.from({ length: 1000 }, (_, line) => `article ${line}: ${(line * 37) % 91} pieces in warehouse ${line % 7}, shelf ${line % 31}`));
}

function reserve(article, stock) {
  return { article, free: stock[article].pieces - 2 };
}

function order(articles) {
  const stock = { keyboard: { pieces: 4 }, mouse: { pieces: 9 } };
  try {
    return articles.map((article) => reserve(article, stock));
  } catch (cause) {
    throw new Error(`order ${marker} could not be reserved`, { cause });
  }
}

let eventId;
try {
  order(['keyboard', 'mouse', 'monitor']);
} catch (error) {
  eventId = Sentry.captureException(error);
}
await Sentry.flush(10_000);

if (!(status >= 200 && status < 300)) {
  console.error(`event ${eventId} was not accepted, answer ${status}`);
  process.exit(1);
}
console.log(eventId);
