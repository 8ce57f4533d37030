import { Route, RouteCache } from "../../src/core/route-cache.ts";
import { type Subscription, TopicTree } from "../../src/core/topic-tree.ts";
import { type MicroCase, sink } from "./case.ts";

const DEVICES = 1_000;

function topicOf(device: number): string {
  return `sensors/building-${device % 10}/device-${device}/temperature`;
}

/** A lookup of topics that are all in the cache. */
function cacheHit(topics: number): MicroCase {
  const cache = new RouteCache();
  const keys = Array.from({ length: topics }, (_, i) => Buffer.from(topicOf(i)));
  const built = new Route();
  built.clear();
  built.add(0, 0);
  for (const key of keys) {
    cache.find(key, 0, key.length);
    cache.keep(cache.place, built, key, 0, key.length);
  }
  let next = 0;
  return {
    name: `core/route-cache: hit, ${topics} topics in turn`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const key = keys[next]!;
        next = next + 1 === topics ? 0 : next + 1;
        sink.value += (cache.find(key, 0, key.length) ?? built).count;
      }
    },
  };
}

/** What a miss costs on top: a device each with its own filter, and two wildcard filters that all topics match. */
function treeMatch(): MicroCase {
  const tree = new TopicTree();
  const topics = Array.from({ length: DEVICES }, (_, i) => Buffer.from(topicOf(i)));
  for (let slot = 0; slot < DEVICES; slot++) tree.add(topicOf(slot), { slot, options: 0, subscriptionId: 0 });
  tree.add("sensors/#", { slot: DEVICES, options: 0, subscriptionId: 0 });
  tree.add("sensors/+/+/temperature", { slot: DEVICES + 1, options: 0, subscriptionId: 0 });
  const visit = ({ slot }: Subscription): void => {
    sink.value += slot;
  };
  let next = 0;
  return {
    name: `core/topic-tree: match, ${tree.count} filters, 3 match`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const topic = topics[next]!;
        tree.match(topic, 0, topic.length, visit);
        next = next + 1 === DEVICES ? 0 : next + 1;
      }
    },
  };
}

/** A topic that nobody published to before. */
function cacheMiss(): MicroCase {
  const cache = new RouteCache();
  const keys = Array.from({ length: 20_000 }, (_, i) => Buffer.from(topicOf(i)));
  const built = new Route();
  built.clear();
  built.add(0, 0);
  let next = 0;
  return {
    name: "core/route-cache: miss, 20000 topics in turn",
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const key = keys[next]!;
        next = next + 1 === keys.length ? 0 : next + 1;
        const found = cache.find(key, 0, key.length);
        sink.value += (found ?? cache.keep(cache.place, built, key, 0, key.length)).count;
      }
    },
  };
}

export const routeCases: readonly (() => MicroCase)[] = [() => cacheHit(1), () => cacheHit(200), cacheMiss, treeMatch];
