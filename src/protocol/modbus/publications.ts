/** From the slaves: values, groups of them, who answers, results of commands. */
import { topicProblem } from "../../core/plain-publish.ts";
import { SETTLED, type StoreWaiter } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_WAITER } from "../../core/router.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { CORRELATION_DATA } from "../../wire/mqtt/property-table.ts";
import { RESPONSE_BYTES_MAX } from "./commands.ts";
import type { ModbusCounters, ModbusParts } from "./parts.ts";

/** What is published again with the next poll if the store would not have it. */
export interface Told {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  payload(wallMs: number): string;
  onPublished(nowMs: number): void;
  forget(): void;
}

const NO_PROPERTIES: Buffer = Buffer.alloc(0);
const properties = new PropertiesWriter(RESPONSE_BYTES_MAX + 8);

export class Publications implements StoreWaiter {
  /** Router slot of the commands: what the line publishes is none. */
  slot = -1;
  readonly #parts: ModbusParts;
  readonly #counters: ModbusCounters;
  readonly #publication = new Publication();
  /** By token. */
  readonly #told: Told[] = [];
  readonly #tokens = new Map<Told, number>();
  #denied = false;

  constructor(parts: ModbusParts, counters: ModbusCounters) {
    this.#parts = parts;
    this.#counters = counters;
  }

  /** The store would not have it: the next poll brings it again. */
  onStored(token: number, reason: number): void {
    if (reason === SETTLED) return;
    this.#counters.valuesRefused.value++;
    this.#told[token]?.forget();
  }

  tell(told: Told, nowMs: number): void {
    const { topic, qos, retain } = told;
    const payload = told.payload(this.#parts.clock.wallMs());
    told.onPublished(nowMs);
    const waits = qos > 0;
    const outcome = this.#publish(topic, payload, qos, retain, waits ? this : NO_WAITER, waits ? this.#token(told) : 0);
    if (outcome < 0x80) {
      this.#counters.valuesPublished.value++;
      return;
    }
    told.forget();
    if (isRefused(outcome)) this.#counters.valuesRefused.value++;
  }

  #token(told: Told): number {
    let token = this.#tokens.get(told);
    if (token === undefined) {
      token = this.#told.push(told) - 1;
      this.#tokens.set(told, token);
    }
    return token;
  }

  /** Retained, so that who comes later knows. */
  tellState(topic: string, online: boolean): void {
    const outcome = this.#publish(topic, online ? "online" : "offline", 1, true, NO_WAITER, 0);
    if (isRefused(outcome)) this.#counters.valuesRefused.value++;
  }

  /** Where to may be a client's word. */
  tellResult(topic: string, payload: string, correlation: Buffer | null): void {
    if (topicProblem(topic, this.#parts.limits) !== null) {
      this.#deny(topic);
      return;
    }
    properties.reset();
    if (correlation !== null) properties.binary(CORRELATION_DATA, correlation);
    const block = properties.buffer.subarray(0, properties.length);
    const outcome = this.#publish(topic, payload, 1, false, NO_WAITER, 0, block);
    if (isRefused(outcome)) this.#counters.resultsRefused.value++;
  }

  #publish(
    topic: string,
    payload: string,
    qos: number,
    retain: boolean,
    waiter: StoreWaiter,
    token: number,
    block: Buffer = NO_PROPERTIES,
  ): number {
    const { authority, principal, router } = this.#parts;
    if (!authority.mayPublish(principal, topic)) {
      this.#deny(topic);
      return FORBIDDEN;
    }
    this.#publication.setParts(topic, Buffer.from(payload), qos, retain, block);
    this.#publication.publisher = this.slot;
    return router.publish(this.#publication, waiter, token);
  }

  #deny(topic: string): void {
    this.#counters.valuesDenied.value++;
    if (this.#denied) return;
    this.#denied = true;
    this.#parts.log.warn("modbus-publish-denied", { name: this.#parts.principal.name, topic });
  }
}

/** Not for want of rights, which is counted by itself. STORED_LATER is below 0. */
function isRefused(outcome: number): boolean {
  return outcome >= 0x80 && outcome !== FORBIDDEN;
}
