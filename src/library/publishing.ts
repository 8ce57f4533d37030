/** Messages of the program on their way in. */
import { encodeProperties, type MessageProperties, PropertiesError } from "../core/message-properties.ts";
import { type PlainLimits, topicProblem } from "../core/plain-publish.ts";
import type { StoreWaiter } from "../core/ports.ts";
import { Publication } from "../core/publication.ts";
import { NO_SUBSCRIBERS, ROUTED, type Router, STORED_LATER } from "../core/router.ts";
import { GatewayError, refusal } from "./errors.ts";
import type { PublishOptions } from "./message.ts";

/** Messages that wait for the store; the next one is rejected ("busy"). */
export const PUBLISHES_MAX = 1024;

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

export class Publishing implements StoreWaiter {
  readonly #router: Router;
  readonly #limits: PlainLimits;
  readonly #publication = new Publication();
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(router: Router, limits: PlainLimits) {
    this.#router = router;
    this.#limits = limits;
  }

  publish(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<void> {
    const { qos = 0, retain = false, properties = {} } = options;
    const problem = topicProblem(topic, this.#limits);
    if (problem !== null) throw new GatewayError("invalid", problem);
    const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
    const block = blockOf(properties);
    const size = Buffer.byteLength(topic) + block.length + bytes.length;
    if (size > this.#limits.maxPacketBytes)
      throw new GatewayError("too-large", `${size} bytes: limits.max_packet_bytes is ${this.#limits.maxPacketBytes}`);
    if (this.#waiting.size >= PUBLISHES_MAX)
      throw new GatewayError("busy", `${PUBLISHES_MAX} messages wait for the store`);
    this.#publication.setParts(topic, bytes, qos, retain, block);
    this.#publication.expirySeconds = properties.messageExpirySeconds ?? -1;
    const token = this.#next++;
    const outcome = this.#router.publish(this.#publication, this, token);
    if (outcome === STORED_LATER)
      return new Promise((resolve, reject) => this.#waiting.set(token, { resolve, reject }));
    if (outcome === ROUTED || outcome === NO_SUBSCRIBERS) return Promise.resolve();
    throw refusal(outcome);
  }

  onStored(token: number, reason: number): void {
    const waiting = this.#waiting.get(token);
    this.#waiting.delete(token);
    if (reason === 0) waiting?.resolve();
    else waiting?.reject(refusal(reason));
  }

  /** The gateway has stopped; nobody will say more about these. */
  stop(): void {
    for (const { reject } of this.#waiting.values())
      reject(new GatewayError("not-running", "the gateway stopped before the message was stored"));
    this.#waiting.clear();
  }
}

function blockOf(properties: MessageProperties): Buffer {
  try {
    return encodeProperties(properties);
  } catch (error) {
    throw error instanceof PropertiesError ? new GatewayError("invalid", error.message) : error;
  }
}
