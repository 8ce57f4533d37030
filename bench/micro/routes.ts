import { RouteCache } from "../../src/core/route-cache.ts";
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
  for (const key of keys) {
    cache.find(key, 0, key.length).slots.push(0);
    cache.keep(key, 0, key.length);
  }
  let next = 0;
  return {
    name: `core/route-cache: hit, ${topics} topics in turn`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const key = keys[next]!;
        next = next + 1 === topics ? 0 : next + 1;
        sink.value += cache.find(key, 0, key.length).slots.length;
      }
    },
  };
}

/** What a miss costs on top: a device each with its own filter, and two wildcard filters that all topics match. */
function treeMatch(): MicroCase {
  const tree = new TopicTree();
  const topics = Array.from({ length: DEVICES }, (_, i) => topicOf(i));
  for (const [slot, topic] of topics.entries()) tree.add(topic, { slot, options: 0, subscriptionId: 0 });
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
        tree.match(topics[next]!, visit);
        next = next + 1 === DEVICES ? 0 : next + 1;
      }
    },
  };
}

/** A topic that nobody published to before: the entry whose turn it is gives way. */
function cacheMiss(): MicroCase {
  const cache = new RouteCache();
  const keys = Array.from({ length: 20_000 }, (_, i) => Buffer.from(topicOf(i)));
  let next = 0;
  return {
    name: "core/route-cache: miss and keep, 1 receiver",
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const key = keys[next]!;
        next = next + 1 === keys.length ? 0 : next + 1;
        const route = cache.find(key, 0, key.length);
        route.slots.push(0);
        route.grants.push(0);
        route.subscriptionIds.push(null);
        sink.value += cache.keep(key, 0, key.length).slots.length;
      }
    },
  };
}

export const routeCases: readonly (() => MicroCase)[] = [() => cacheHit(1), () => cacheHit(200), cacheMiss, treeMatch];
