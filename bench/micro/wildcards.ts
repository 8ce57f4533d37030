/** Topics against 10,000 filters with wildcards, as dashboards and rules of a site with a thousand devices have them. */
import { type Subscription, TopicTree } from "../../src/core/topic-tree.ts";
import { type MicroCase, sink } from "./case.ts";

const DEVICES = 2_000;
const PER_DEVICE = 5;

function match(name: string, topicOf: (device: number) => string): MicroCase {
  const tree = new TopicTree();
  for (let i = 0; i < DEVICES; i++) {
    const filters = [
      `site/+/device-${i}/#`,
      `site/7/device-${i}/+`,
      `+/7/device-${i}/state`,
      `site/7/+/state/${i}`,
      `log/${i}/#`,
    ];
    for (const [j, filter] of filters.entries())
      tree.add(filter, { slot: i * PER_DEVICE + j, options: 0, subscriptionId: 0 });
  }
  const topics = Array.from({ length: DEVICES }, (_, i) => Buffer.from(topicOf(i)));
  const visit = ({ slot }: Subscription): void => {
    sink.value += slot;
  };
  let next = 0;
  return {
    name: `core/topic-tree: match, ${tree.count} wildcard filters, ${name}`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        const topic = topics[next] as Buffer;
        tree.match(topic, 0, topic.length, visit);
        next = next + 1 === DEVICES ? 0 : next + 1;
      }
    },
  };
}

export const wildcardCases: readonly (() => MicroCase)[] = [
  () => match("3 match", (device) => `site/7/device-${device}/state`),
  () => match("none matches", (device) => `site/7/device-${device}x/state`),
];
