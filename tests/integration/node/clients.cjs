// node clients.cjs CLIENT ADDRESS: sends a few calls with one client to a collector on loopback.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const [client, address] = process.argv.slice(2);
const load = createRequire(path.join(process.cwd(), "package.json"));
const at = new Date(1772359200123);
const traits = { email: "ada@acme.example", company: { id: "acme" } };

const clients = {
  async segment() {
    const { Analytics } = load("@segment/analytics-node");
    const analytics = new Analytics({ writeKey: "key", host: address });
    analytics.identify({ userId: "u-1", anonymousId: "a-1", traits, timestamp: at });
    analytics.alias({ previousId: "a-1", userId: "u-1", timestamp: at });
    analytics.track({ userId: "ada@acme.example", event: "Demo Requested", timestamp: at });
    analytics.group({ userId: "u-1", groupId: "acme", traits: { website: "https://acme.example/" }, timestamp: at });
    await analytics.closeAndFlush();
  },
  async rudderstack() {
    const Analytics = load("@rudderstack/rudder-sdk-node");
    const analytics = new Analytics("key", { dataPlaneUrl: address, flushAt: 1 });
    analytics.identify({ userId: "u-1", traits, originalTimestamp: at });
    await new Promise((done) => analytics.flush(done));
  },
  async jitsu() {
    const { jitsuAnalytics } = load("@jitsu/js");
    const jitsu = jitsuAnalytics({ host: address, writeKey: "key:secret", fetch });
    await jitsu.identify("u-1", traits);
    await jitsu.page({ title: "Pricing", url: "https://www.example.com/pricing" });
    await jitsu.group("acme", { name: "Acme GmbH" });
  },
  async posthog() {
    const { PostHog } = load("posthog-node");
    const posthog = new PostHog("phc", { host: address, flushAt: 20 });
    const groups = { company: "acme" };
    posthog.capture({ distinctId: "u-1", event: "demo requested", groups, timestamp: at });
    posthog.identify({ distinctId: "u-1", properties: { email: "ada@acme.example" } });
    posthog.alias({ distinctId: "u-1", alias: "a-1" });
    posthog.groupIdentify({ groupType: "company", groupKey: "acme", properties: { name: "Acme GmbH" } });
    await posthog.shutdown();
  },
  async snowplow() {
    const snowplow = load("@snowplow/node-tracker");
    const tracker = snowplow.newTracker({ namespace: "ns", appId: "site" }, { endpoint: address, bufferSize: 10 });
    tracker.setUserId("u-1");
    const page = { pageUrl: "https://www.example.com/pricing", pageTitle: "Pricing" };
    tracker.track(snowplow.buildPageView(page), [], { type: "ttm", value: at.getTime() });
    const event = { schema: "iglu:com.acme/demo_requested/jsonschema/1-0-0", data: { plan: "team" } };
    tracker.track(snowplow.buildSelfDescribingEvent({ event }));
    tracker.flush();
  },
  // not a client: standard input is a line of the enriched stream, standard output what its SDK makes of it
  async transform() {
    const { transform } = load("snowplow-analytics-sdk");
    process.stdout.write(JSON.stringify(transform(require("node:fs").readFileSync(0, "utf8"))));
  },
};

clients[client]().catch((error) => {
  console.error(error);
  process.exit(1);
});
