// Sends a few invented events with one of JavaScript's clients: node.mjs CLIENT URL KEY.
const [client, url, key] = process.argv.slice(2);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const traits = { plan: "pro", email: "ada@shop.example" };
const order = { revenue: 19.5, currency: "EUR" };

// A page without a browser.
const page = async (options) => {
  const { JSDOM } = await import("jsdom");
  const address = "https://shop.example/pricing?utm_source=news&utm_campaign=autumn";
  const dom = new JSDOM("<!doctype html><title>Pricing</title><body></body>", {
    url: address, referrer: "https://search.example/found", pretendToBeVisual: true, ...options,
  });
  const { window } = dom;
  window.fetch = (to, how) => fetch(String(to), how);
  window.navigator.sendBeacon = (to, body) => { fetch(String(to), { method: "POST", body, keepalive: true }); return true; };
  return window;
};
const asBrowser = (window) => {
  for (const name of ["window", "document", "location", "localStorage", "sessionStorage", "XMLHttpRequest", "history",
    "Element", "HTMLElement", "Event", "MutationObserver", "screen"])
    globalThis[name] = name === "window" ? window : window[name];
  Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });
  window.addEventListener?.bind(window);
  for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) globalThis[name] = window[name].bind(window);
};

const clients = {
  "segment-node": async () => {
    const { Analytics } = await import("@segment/analytics-node");
    const segment = new Analytics({ writeKey: key, host: url });
    segment.on("error", (error) => { console.error(error); process.exit(1); });
    segment.page({ anonymousId: "visitor-7", name: "Pricing", properties: { path: "/pricing" } });
    segment.identify({ userId: "user-7", anonymousId: "visitor-7", traits });
    segment.track({ userId: "user-7", event: "Order Completed", properties: order });
    segment.group({ userId: "user-7", groupId: "acme", traits: { seats: 4 } });
    segment.alias({ userId: "user-7", previousId: "visitor-8" });
    segment.screen({ userId: "user-7", name: "Lesson" });
    await segment.closeAndFlush();
  },
  "posthog-node": async () => {
    const { PostHog } = await import("posthog-node");
    const posthog = new PostHog(key, { host: url });
    posthog.capture({ distinctId: "user-7", event: "Order Completed", properties: order });
    posthog.identify({ distinctId: "user-7", properties: traits });
    posthog.alias({ distinctId: "visitor-8", alias: "user-7" });
    posthog.groupIdentify({ groupType: "company", groupKey: "acme", properties: { seats: 4 }, distinctId: "user-7" });
    (await posthog.evaluateFlags("user-7")).getFlag("new-checkout");
    await posthog.shutdown();
  },
  "rudderstack-node": async () => {
    const rudder = await import("@rudderstack/rudder-sdk-node");
    const Analytics = rudder.default?.default ?? rudder.default;
    const analytics = new Analytics(key, { dataPlaneUrl: url, flushAt: 20 });
    analytics.identify({ userId: "user-7", traits });
    analytics.track({ userId: "user-7", event: "Order Completed", properties: order });
    analytics.page({ userId: "user-7", name: "Pricing", properties: { path: "/pricing" } });
    await new Promise((done) => analytics.flush(done));
    process.exit(0);
  },
  jitsu: async () => {
    const { jitsuAnalytics } = await import("@jitsu/js");
    const jitsu = jitsuAnalytics({ host: url, writeKey: `${key}:-` });
    await jitsu.identify("user-7", traits);
    await jitsu.track("Order Completed", order);
    await jitsu.page("Pricing", { path: "/pricing" });
    await pause(500);
    process.exit(0);
  },
  amplitude: async () => {
    const { createInstance, Identify } = await import("@amplitude/analytics-node");
    const amplitude = createInstance();
    await amplitude.init(key, { serverUrl: `${url}/2/httpapi`, flushIntervalMillis: 100 }).promise;
    const who = { user_id: "user-7", device_id: "visitor-7" };
    amplitude.track("Opened", undefined, { device_id: "visitor-7" });
    amplitude.identify(new Identify().set("plan", "pro"), who);
    amplitude.track("Order Completed", order, who);
    amplitude.groupIdentify("company", "acme", new Identify().set("seats", 4), { user_id: "user-7" });
    await amplitude.flush().promise;
    await pause(1000);
    process.exit(0);
  },
  umami: async () => {
    const { default: exported } = await import("@umami/node");
    const umami = exported.default ?? exported;
    umami.init({ websiteId: key, hostUrl: url });
    await umami.track({ url: "/pricing?utm_source=news", title: "Pricing", hostname: "shop.example" });
    await umami.track("Order Completed", order);
  },
  plausible: async () => {
    asBrowser(await page());
    const { default: exported } = await import("plausible-tracker");
    const plausible = (exported.default ?? exported)({ domain: key, apiHost: url });
    plausible.trackPageview();
    plausible.trackEvent("Order Completed", { props: { currency: "EUR" } });
    await pause(1000);
    process.exit(0);
  },
  "segment-browser": async () => {
    asBrowser(await page());
    const { AnalyticsBrowser } = await import("@segment/analytics-next");
    const [segment] = await AnalyticsBrowser.load(
      { writeKey: key, cdnURL: url },
      { integrations: { "Segment.io": { apiHost: `${url.split("://")[1]}/v1`, protocol: "http" } } },
    );
    await segment.page("Pricing");
    await segment.identify("user-7", traits);
    await segment.track("Order Completed", order);
    await segment.group("acme", { seats: 4 });
    await pause(1500);
    process.exit(0);
  },
  "posthog-browser": async () => {
    asBrowser(await page());
    const { default: exported } = await import("posthog-js");
    const posthog = exported.default ?? exported;
    posthog.init(key, { api_host: url, disable_session_recording: true, disable_surveys: true, request_batching: true });
    await pause(500);
    posthog.capture("$pageview");
    posthog.identify("user-7", traits);
    posthog.capture("Order Completed", order);
    posthog.group("company", "acme", { seats: 4 });
    await pause(5000);
    process.exit(0);
  },
  "b.js": async () => {
    const window = await page({ runScripts: "outside-only" });
    const script = await (await fetch(`${url}/b.js`)).text();
    Object.defineProperty(window.document, "currentScript", { value: { src: `${url}/b.js`, dataset: { key } } });
    window.crypto.getRandomValues ??= (array) => crypto.getRandomValues(array);
    window.eval(script);
    window.belvedere.identify("user-7", traits);
    window.belvedere("Order Completed", order);
    window.history.pushState({}, "", "/checkout");
    await pause(2000);
    process.exit(0);
  },
};

if (!clients[client]) {
  console.error(`no such client: ${client}; there are ${Object.keys(clients).join(", ")}`);
  process.exit(1);
}
await clients[client]();
