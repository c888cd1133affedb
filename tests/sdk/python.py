"""Raises one real error through sentry-sdk and waits until it has been sent.

Usage: python.py CASE MARKER [DSN]        (DSN also from BELVEDERE_DSN)

The marker stands in the error's text, so that the run can be found again. The event carries a user,
tags, breadcrumbs, a context and, where the package can, a nested cause. On success the event id is
printed alone on one line and the exit status is 0; an event that was not accepted gives status 1.

Cases and what they make the package put on the wire:
  br          its own choice when the module brotli can be imported
  gzip        its own choice without brotli
  identity    no compression
  deflate     the identity body in zlib format, which older packages send
  basic       key as `Authorization: Basic`, the only form for clients that know nothing but a URL
  authorization   the header of `X-Sentry-Auth` under the name `Authorization`
  dsn-header  key nowhere but in the envelope's header `dsn`, sent to /tunnel
  store       a 1.x package, which posts single events to /store/
"""

import logging
import os
import sys
import zlib
from base64 import b64encode
from urllib.parse import urlsplit

import sentry_sdk
from sentry_sdk.transport import HttpTransport

STATUSES = []


class Pool:
    """Stands before the package's connection pool: notes the answers and rewrites how the key is told."""

    def __init__(self, pool, case, dsn):
        self.pool = pool
        self.case = case
        self.dsn = dsn

    def request(self, method, url, body=None, headers=None):
        headers = dict(headers)
        if self.case in ("basic", "authorization", "dsn-header"):
            own = headers.pop("X-Sentry-Auth")
            if self.case == "authorization":
                headers["Authorization"] = own
            if self.case == "basic":
                headers["Authorization"] = "Basic " + b64encode(f"{self.dsn.username}:".encode()).decode()
        if self.case == "dsn-header":
            url = f"{self.dsn.scheme}://{self.dsn.netloc.rpartition('@')[2]}/tunnel"
        if self.case == "deflate":
            body = zlib.compress(body)
            headers["Content-Encoding"] = "deflate"
        response = self.pool.request(method, url, body=body, headers=headers)
        STATUSES.append(response.status)
        return response

    def __getattr__(self, name):
        return getattr(self.pool, name)


class Transport(HttpTransport):
    """The package's own transport over `Pool`."""

    case = ""

    def __init__(self, options):
        super().__init__(options)
        self._pool = Pool(self._pool, self.case, urlsplit(options["dsn"]))

    def _send_envelope(self, envelope):
        if self.case == "dsn-header":
            envelope.headers["dsn"] = self.options["dsn"]
        return super()._send_envelope(envelope)


def transport_for(case):
    return type("CaseTransport", (Transport,), {"case": case})


def experiments_for(case):
    return {"transport_compression_level": 0} if case in ("identity", "deflate") else {}


def reserve(article, stock):
    free = stock[article] - 2
    return {"article": article, "free": free}


def order(articles, marker):
    stock = {"keyboard": 4, "mouse": 9}
    try:
        return [reserve(article, stock) for article in articles]
    except KeyError as missing:
        raise RuntimeError(f"order {marker} could not be reserved") from missing


def main():
    case, marker = sys.argv[1], sys.argv[2]
    dsn = sys.argv[3] if len(sys.argv) > 3 else os.environ["BELVEDERE_DSN"]
    sentry_sdk.init(
        dsn=dsn,
        release="sdk-runs@1.0.0",
        environment="test",
        server_name="sdk-run",
        transport=transport_for(case),
        _experiments=experiments_for(case),
    )
    sentry_sdk.set_user({"id": "20117", "email": "m.devries@codeland.example"})
    sentry_sdk.set_tag("sdk_case", f"python-{case}")
    sentry_sdk.set_context("order", {"articles": 3, "marker": marker})
    sentry_sdk.add_breadcrumb(category="navigation", message="/basket", level="info")
    logger = logging.getLogger("shop")
    logger.addHandler(logging.NullHandler())
    logger.warning("article monitor is not in stock")

    try:
        order(["keyboard", "mouse", "monitor"], marker)
    except RuntimeError:
        event_id = sentry_sdk.capture_exception()
    sentry_sdk.flush(timeout=10)

    if not STATUSES or any(not 200 <= status < 300 for status in STATUSES):
        print(f"event {event_id} was not accepted, answers {STATUSES}", file=sys.stderr)
        return 1
    print(event_id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
