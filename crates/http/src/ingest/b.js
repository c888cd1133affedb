// Page views, Core Web Vitals, and belvedere("Signed Up", {plan: "pro"}), belvedere.identify("user-7").
// Stores nothing before belvedere.consent(true); sends nothing with Sec-GPC or Do Not Track.
(function (w, d, n) {
  "use strict";
  var script = d.currentScript, key = script.dataset.key, name = "belvedere." + key, queue = [], vitals = {cls: 0};
  var off = !key || n.globalPrivacyControl || n.doNotTrack == 1, timer, user, path, campaign, granted, told;
  // Storage may be forbidden, and then throws.
  function keep(run) { try { return run(w.localStorage); } catch (e) { return null; } }
  function id() { return crypto.getRandomValues(new Uint32Array(4)).join("-"); }
  var kept = off ? null : keep(function (s) { return s.getItem(name); }), visitor = kept || id(), session = id();
  if (kept) granted = true;

  function flush() {
    timer = clearTimeout(timer);
    while (queue.length) {
      var body = JSON.stringify({writeKey: key, sentAt: new Date(), batch: queue.splice(0, 20)});
      var url = new URL("/v1/b", script.src);
      if (!n.sendBeacon(url, body)) fetch(url, {method: "POST", body: body, keepalive: true}).catch(function () {});
    }
  }
  function send(type, event, properties, traits) {
    if (off) return;
    var at = location, context = {
      page: {url: at.origin + at.pathname, path: at.pathname, title: d.title, referrer: path ? "" : d.referrer},
      campaign: campaign, locale: n.language, sessionId: session, library: {name: "b.js"}
    };
    if (granted !== undefined) context.consent = {categoryPreferences: {analytics: granted}};
    queue.push({
      type: type, event: event, messageId: id(), anonymousId: visitor, userId: user, timestamp: new Date(),
      properties: properties, traits: traits, context: context
    });
    if (queue.length > 19) flush(); else timer = timer || setTimeout(flush, 1000);
  }
  function view() {
    if (path == location.pathname) return;
    send("page");
    path = location.pathname;
  }
  var api = w.belvedere = function (event, properties) { send("track", "" + event, properties); };
  api.identify = function (to, traits) { user = "" + to; send("identify", undefined, undefined, traits); };
  api.consent = function (yes) {
    granted = !!yes;
    if (!off) keep(function (s) { yes ? s.setItem(name, visitor) : s.removeItem(name); });
    if (!yes) visitor = id();
  };
  if (off) return;

  new URLSearchParams(location.search).forEach(function (value, part) {
    if (part.indexOf("utm_")) return;
    part = part.slice(4);
    (campaign = campaign || {})[part == "campaign" ? "name" : part] = value;
  });
  ["pushState", "replaceState"].forEach(function (call) {
    var own = history[call];
    history[call] = function () { own.apply(this, arguments); view(); };
  });
  w.addEventListener("popstate", view);

  // LCP: the last one. CLS: the worst window of shifts, 1 s apart, 5 s in all. INP: the longest interaction.
  function watch(type, see) {
    try {
      new PerformanceObserver(function (list) { list.getEntries().forEach(see); })
        .observe({type: type, buffered: true, durationThreshold: 40});
    } catch (e) { /* Not measured here. */ }
  }
  var sum = 0, first = 0, last = 0, most = Math.max, whole = Math.round;
  watch("largest-contentful-paint", function (it) { vitals.lcp = whole(it.startTime); });
  watch("layout-shift", function (it) {
    var at = it.startTime;
    if (it.hadRecentInput) return;
    if (at - last > 1000 || at - first > 5000) { sum = 0; first = at; }
    sum += it.value;
    last = at;
    vitals.cls = most(vitals.cls, whole(sum * 1e4) / 1e4);
  });
  watch("event", function (it) { if (it.interactionId) vitals.inp = most(vitals.inp || 0, whole(it.duration)); });
  d.addEventListener("visibilitychange", function () {
    if (d.visibilityState != "hidden") return;
    if (!told && vitals.lcp) told = send("track", "Web Vitals", vitals) || 1;
    flush();
  });
  view();
})(window, document, navigator);
