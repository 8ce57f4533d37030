/**
 * The rules of an uplink that gather. Each is a receiver of its own in the store, named after what it matches and where
 * that goes, so that it keeps its rows when rules change places or get other limits.
 *
 * Rows of a rule that the configuration has no more were acknowledged all the same: they go out as they came, under the
 * topics of that rule, with priority 0, and then the receiver goes, too.
 */
import type { Counters } from "../../base/counters.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { spoolLimitsOf } from "../../config/uplink-spool.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { LoopMark } from "../out/loop-mark.ts";
import { TopicMap } from "../topic-map.ts";
import { Aggregator } from "./aggregator.ts";
import type { AggregatorParts, AggregatorStatus } from "./aggregator-parts.ts";
import type { Door } from "./entering.ts";
import type { Tally } from "./gathering.ts";
import { heldBytesOf, LOG_SHARE } from "./limits.ts";
import { aggregates, namesOf, receiverName, receiversOf } from "./rules.ts";

export interface AggregationParts extends AggregatorParts {
  readonly counters: Counters;
  /** For {node}. */
  readonly node: string;
  readonly memoryLimitBytes: number;
}

/** What it needs of the spool. */
export interface Doors {
  /** Of the uplink in the router. */
  readonly slot: number;
  readonly sights: { readonly mark: LoopMark | null; readonly looped: { value: number } };
  classOf(priority: number): Door | undefined;
}

export class Aggregation {
  /** In the order of the configuration; then those of rules that it has no more. */
  readonly #rules: Aggregator[] = [];
  readonly #config: UplinkConfig;
  readonly #doors: Doors;
  readonly #parts: AggregationParts;

  constructor(config: UplinkConfig, doors: Doors, parts: AggregationParts) {
    this.#config = config;
    this.#doors = doors;
    this.#parts = parts;
    const names = new Set<string>();
    for (const rule of config.forward.filter(aggregates)) {
      let name = receiverName(config.name, rule, 0);
      for (let i = 2; names.has(name); i++) name = receiverName(config.name, rule, i);
      names.add(name);
      this.#rules.push(this.#made(name, rule, null));
    }
    for (const name of receiversOf(parts.host.store, config.name)) {
      if (!names.has(name)) this.#addRemnant(name);
    }
    this.#addGauges();
  }

  #made(name: string, rule: ForwardRule, onIdle: (() => void) | null): Aggregator {
    const { node } = this.#parts;
    const { clientId, spool } = this.#config;
    const { mark, looped } = this.#doors.sights;
    const door = this.#doors.classOf(rule.priority) as Door;
    return new Aggregator(
      {
        rule,
        map: new TopicMap([rule], { node, client: clientId }),
        name,
        door,
        kinSlot: this.#doors.slot,
        spanBytesMax: Math.floor(spoolLimitsOf(spool, rule.priority).maxBytes / LOG_SHARE),
        heldBytes: heldBytesOf(this.#parts.memoryLimitBytes),
        isLooped({ bytes, topicEnd, propertiesEnd }) {
          const isIn = mark?.isIn(bytes, topicEnd, propertiesEnd) === true;
          if (isIn) looped.value++;
          return isIn;
        },
        onIdle,
      },
      this.#parts,
    );
  }

  #addRemnant(name: string): void {
    const { match, to } = namesOf(name);
    const gathers = { batch: null, reduce: null, onChange: null };
    const rule = {
      match,
      to,
      qos: 1,
      offline: "store",
      retain: "keep",
      priority: 0,
      expiryMs: null,
      ...gathers,
    } as const;
    const remnant = this.#made(name, rule, () => {
      remnant.leave();
      this.#rules.splice(this.#rules.indexOf(remnant), 1);
      this.#parts.host.store.deleteReceiver(remnant);
    });
    this.#rules.push(remnant);
  }

  #addGauges(): void {
    const prefix = `uplink.${this.#config.name}.aggregate_`;
    const { counters } = this.#parts;
    const sum = (of: (rule: Aggregator) => number): number => this.#rules.reduce((total, rule) => total + of(rule), 0);
    const names: Readonly<Record<keyof Tally, string>> = {
      in: "in",
      out: "out",
      suppressed: "suppressed",
      passedThrough: "passed_through",
      closedEarly: "closed_early",
    };
    for (const key of Object.keys(names) as (keyof Tally)[])
      counters.gauge(prefix + names[key], () => sum(({ tally }) => tally[key]));
    counters.gauge(`${prefix}held_messages`, () => sum((rule) => rule.count));
    counters.gauge(`${prefix}held_bytes`, () => sum((rule) => rule.bytes));
  }

  status(): AggregatorStatus[] {
    return this.#rules.map((rule) => rule.status());
  }

  /** The router knows them no more; what they hold stays in the store. */
  leave(): void {
    for (const rule of this.#rules) rule.leave();
  }
}
