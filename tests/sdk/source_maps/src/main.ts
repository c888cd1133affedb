import * as Sentry from '@sentry/node';

import { payFor } from './checkout';

Sentry.init({
  dsn: process.env.BELVEDERE_DSN,
  release: process.env.BELVEDERE_RELEASE,
  environment: 'test',
  serverName: 'sdk-run',
});

function order(marker: string): string | undefined {
  try {
    payFor(['keyboard', 'mouse']);
  } catch (error) {
    Sentry.setTag('marker', marker);
    return Sentry.captureException(error);
  }
}

const eventId = order(process.argv[2] ?? 'none');
Sentry.flush(10_000).then((sent) => {
  console.log(eventId);
  process.exitCode = sent ? 0 : 1;
});
