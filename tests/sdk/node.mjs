// Raises one real error through @sentry/node, or does what the case says, and waits until it has been sent.
//
// Usage: node.mjs CASE MARKER [DSN]        (DSN also from BELVEDERE_DSN)
//
// The marker stands in the error's text, so that the run can be found again. The event carries a
// user, tags, breadcrumbs, a context and a cause. On success the id is printed alone on one line and
// the exit status is 0; what was not accepted gives status 1. The id is the event's unless the case
// says otherwise.
//
// Cases of the error and what they make the package put on the wire:
//   query       the key in the query string, no compression, chunked
//   gzip        the same above 32 KB, where the package compresses by itself
//   tunnel      the key nowhere but in the envelope's header `dsn`, sent to /tunnel
//   attachment  a file beside the event
//
// Cases of all else:
//   check-in        two check-ins of one run; prints the check-in's id
//   monitor         a job under `withMonitor` that ends well; prints the check-in's id
//   monitor-failed  the same job, which throws; prints the check-in's id
//   logs            two records of `Sentry.logger`; prints the marker, which stands in both
//   feedback        what somebody said about an error
//   session         the session of a process; prints the release
//   sessions        those of a server with three requests, as counts; prints the release

import { createServer } from 'node:http';
import * as Sentry from '@sentry/node';

const [sdkCase, marker, dsn = process.env.BELVEDERE_DSN] = process.argv.slice(2);
// Sessions have no text to be found by but the release.
const release = sdkCase.startsWith('session') ? `${marker}@1.0.0` : 'sdk-runs@1.0.0';

const statuses = [];
const items = [];

Sentry.init({
  dsn,
  tunnel: sdkCase === 'tunnel' ? new URL('/tunnel', dsn.replace(/\/\/[^@]*@/, '//')).href : undefined,
  release,
  environment: 'test',
  serverName: 'sdk-run',
  enableLogs: sdkCase === 'logs',
  transport(options) {
    const own = Sentry.makeNodeTransport(options);
    return {
      ...own,
      async send(envelope) {
        items.push(...envelope[1]);
        const answer = await own.send(envelope);
        statuses.push(answer.statusCode);
        return answer;
      },
    };
  },
});
Sentry.setTag('sdk_case', `node-${sdkCase}`);

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

function reportError() {
  Sentry.setUser({ id: '20117', email: 'm.devries@codeland.example' });
  Sentry.setContext('order', { articles: 3, marker });
  Sentry.addBreadcrumb({ category: 'navigation', message: '/basket', level: 'info' });
  if (sdkCase === 'gzip') {
    Sentry.setExtra('stock', Array.from({ length: 1000 }, (_, line) => `article ${line}: ${(line * 37) % 91} pieces in warehouse ${line % 7}, shelf ${line % 31}`));
  }
  if (sdkCase === 'attachment') {
    Sentry.getCurrentScope().addAttachment({ filename: 'stock.csv', data: 'keyboard,4\nmouse,9\n', contentType: 'text/csv' });
  }
  try {
    order(['keyboard', 'mouse', 'monitor']);
  } catch (error) {
    return Sentry.captureException(error);
  }
}

const monitorSlug = 'sdk-runs-node';
const monitorConfig = {
  schedule: { type: 'interval', value: 1, unit: 'day' },
  checkinMargin: 10,
  maxRuntime: 5,
  timezone: 'Europe/Amsterdam',
};

function checkIn() {
  const checkInId = Sentry.captureCheckIn({ monitorSlug, status: 'in_progress' }, monitorConfig);
  order(['keyboard', 'mouse']);
  return Sentry.captureCheckIn({ checkInId, monitorSlug, status: 'ok', duration: 0.25 });
}

async function runMonitored(articles) {
  try {
    Sentry.withMonitor(monitorSlug, () => order(articles), monitorConfig);
  } catch {
    // What is sent is what counts.
  }
  await Sentry.flush(10_000);
  return items.find(([header]) => header.type === 'check_in')?.[1].check_in_id;
}

function writeLogs() {
  Sentry.logger.info(Sentry.logger.fmt`order ${marker} has ${3} articles`, { warehouse: 7 });
  Sentry.logger.error(`order ${marker} could not be reserved`);
  return marker;
}

function giveFeedback() {
  const associatedEventId = reportError();
  return Sentry.captureFeedback({
    message: `The order ${marker} cannot be placed.`,
    name: 'M. de Vries',
    email: 'm.devries@codeland.example',
    associatedEventId,
  });
}

function endProcess() {
  order(['keyboard', 'mouse']);
  Sentry.endSession();
  return release;
}

async function serveRequests() {
  const server = createServer((request, response) => {
    try {
      response.end(JSON.stringify(order([request.url.slice(1)])));
    } catch (error) {
      Sentry.captureException(error);
      response.writeHead(500).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  for (const article of ['keyboard', 'mouse', 'monitor']) {
    await fetch(`http://127.0.0.1:${server.address().port}/${article}`);
  }
  server.close();
  server.closeAllConnections();
  return release;
}

const acts = {
  'check-in': checkIn,
  monitor: () => runMonitored(['keyboard', 'mouse']),
  'monitor-failed': () => runMonitored(['keyboard', 'monitor']),
  logs: writeLogs,
  feedback: giveFeedback,
  session: endProcess,
  sessions: serveRequests,
};
const foundBy = await (acts[sdkCase] ?? reportError)();
await Sentry.flush(10_000);

if (!foundBy || statuses.length === 0 || !statuses.every((status) => status >= 200 && status < 300)) {
  console.error(`${foundBy} was not accepted, answers [${statuses}]`);
  process.exit(1);
}
console.log(foundBy);
