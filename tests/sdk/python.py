"""Raises one real error through sentry-sdk, or does what the case says, and waits until it has been sent.

Usage: python.py CASE MARKER [DSN]        (DSN also from BELVEDERE_DSN)

The marker stands in the error's text, so that the run can be found again. The event carries a user,
tags, breadcrumbs, a context and, where the package can, a nested cause. On success the id is printed
alone on one line and the exit status is 0; what was not accepted gives status 1. The id is the event's
unless the case says otherwise.

Cases of the error and what they make the package put on the wire:
  br          its own choice when the module brotli can be imported
  gzip        its own choice without brotli
  identity    no compression
  deflate     the identity body in zlib format, which older packages send
  basic       key as `Authorization: Basic`, the only form for clients that know nothing but a URL
  authorization   the header of `X-Sentry-Auth` under the name `Authorization`
  dsn-header  key nowhere but in the envelope's header `dsn`, sent to /tunnel
  store       a 1.x package, which posts single events to /store/

Cases of all else, in the package's own way of sending:
  monitor         a job under the decorator `monitor` that ends well; prints the check-in's id
  monitor-failed  the same job, which raises; prints the check-in's id
  logs            two records of `sentry_sdk.logger`; prints the marker, which stands in both
  sessions        a WSGI application with three requests, one of which fails; prints the release
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
ITEMS = []


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
        ITEMS.extend(envelope.items)
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


def report_error(marker):
    sentry_sdk.set_user({"id": "20117", "email": "m.devries@codeland.example"})
    sentry_sdk.set_context("order", {"articles": 3, "marker": marker})
    sentry_sdk.add_breadcrumb(category="navigation", message="/basket", level="info")
    logger = logging.getLogger("shop")
    logger.addHandler(logging.NullHandler())
    logger.warning("article monitor is not in stock")
    try:
        order(["keyboard", "mouse", "monitor"], marker)
    except RuntimeError:
        return sentry_sdk.capture_exception()


def run_monitored(marker, articles):
    from sentry_sdk.crons import monitor

    config = {
        "schedule": {"type": "crontab", "value": "15 3 * * *"},
        "timezone": "Europe/Amsterdam",
        "checkin_margin": 10,
        "max_runtime": 5,
    }
    try:
        monitor(monitor_slug="sdk-runs-python", monitor_config=config)(order)(articles, marker)
    except RuntimeError:
        pass
    sentry_sdk.flush(timeout=10)
    ids = {item.payload.json["check_in_id"] for item in ITEMS if item.type == "check_in"}
    assert len(ids) == 1, f"{len(ids)} check-ins were sent"
    return ids.pop()


def write_logs(marker):
    from sentry_sdk import logger

    logger.info("order {marker} has {articles} articles", marker=marker, articles=3)
    logger.error("order {marker} could not be reserved", marker=marker)
    return marker


def serve_requests(marker):
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    def shop(environ, start_response):
        order([environ["PATH_INFO"].strip("/")], marker)
        start_response("200 OK", [])
        return [b"reserved"]

    application = SentryWsgiMiddleware(shop)
    for article in ["keyboard", "mouse", "monitor"]:
        request = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/{article}",
            "SERVER_NAME": "shop.example",
            "SERVER_PORT": "443",
            "wsgi.url_scheme": "https",
        }
        try:
            list(application(request, lambda status, headers: None))
        except RuntimeError:
            pass
    return release_for("sessions", marker)


def release_for(case, marker):
    # Sessions have no text to be found by but the release.
    return f"{marker}@1.0.0" if case == "sessions" else "sdk-runs@1.0.0"


ACTS = {
    "monitor": lambda marker: run_monitored(marker, ["keyboard", "mouse"]),
    "monitor-failed": lambda marker: run_monitored(marker, ["keyboard", "monitor"]),
    "logs": write_logs,
    "sessions": serve_requests,
}


def main():
    case, marker = sys.argv[1], sys.argv[2]
    dsn = sys.argv[3] if len(sys.argv) > 3 else os.environ["BELVEDERE_DSN"]
    sentry_sdk.init(
        dsn=dsn,
        release=release_for(case, marker),
        environment="test",
        server_name="sdk-run",
        transport=transport_for(case),
        _experiments=experiments_for(case),
        **({"enable_logs": True} if case == "logs" else {}),
    )
    sentry_sdk.set_tag("sdk_case", f"python-{case}")
    found_by = ACTS.get(case, report_error)(marker)
    sentry_sdk.flush(timeout=10)

    if not STATUSES or any(not 200 <= status < 300 for status in STATUSES):
        print(f"{found_by} was not accepted, answers {STATUSES}", file=sys.stderr)
        return 1
    print(found_by)
    return 0


if __name__ == "__main__":
    sys.exit(main())
