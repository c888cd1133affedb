"""Sends a few invented events with one of Python's clients: python.py CLIENT URL KEY."""

import sys

client, url, key = sys.argv[1:]

if client == "segment":
    from segment.analytics import Client

    segment = Client(key, host=url, gzip=True, on_error=lambda error, _: sys.exit(f"refused: {error}"))
    segment.page("user-7", "Docs", "Pricing", {"path": "/pricing", "url": "https://shop.example/pricing"})
    segment.identify("user-7", {"plan": "pro", "email": "ada@shop.example"}, anonymous_id="visitor-7")
    segment.track("user-7", "Order Completed", {"revenue": 19.5, "currency": "EUR"})
    segment.group("user-7", "acme", {"seats": 4})
    segment.alias("visitor-8", "user-7")
    segment.screen("user-7", "App", "Lesson")
    segment.shutdown()
elif client == "posthog":
    from posthog import Posthog

    posthog = Posthog(key, host=url)
    posthog.capture("Order Completed", distinct_id="user-7", properties={"revenue": 19.5, "currency": "EUR"})
    posthog.set(distinct_id="user-7", properties={"plan": "pro", "email": "ada@shop.example"})
    posthog.alias("visitor-8", "user-7")
    posthog.group_identify("company", "acme", {"seats": 4})
    posthog.evaluate_flags("user-7").get_flag("new-checkout")
    posthog.shutdown()
elif client == "rudderstack":
    import rudderstack.analytics as rudder

    rudder.write_key = key
    rudder.dataPlaneUrl = url
    rudder.on_error = lambda error, _: sys.exit(f"refused: {error}")
    rudder.identify("user-7", {"plan": "pro", "email": "ada@shop.example"})
    rudder.track("user-7", "Order Completed", {"revenue": 19.5, "currency": "EUR"})
    rudder.page("user-7", "Docs", "Pricing", {"path": "/pricing"})
    rudder.group("user-7", "acme", {"seats": 4})
    rudder.shutdown()
else:
    sys.exit(f"no such client: {client}")
