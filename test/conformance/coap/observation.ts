/** A client that observes, step by step: it registers, takes notifications one by one, and says what becomes of each. */
import assert from "node:assert/strict";
import { ACK, type Fields, type Message, message, Option, type OptionField, RST, uintOf } from "./bytes.ts";
import type { HandEndpoint } from "./hand-endpoint.ts";
import { get } from "./harness.ts";

const REGISTER: OptionField = [Option.Observe, 0];
const DEREGISTER: OptionField = [Option.Observe, 1];
let tokens = 0;

export class Observation {
  readonly raw: HandEndpoint;
  readonly path: string;
  readonly token: Buffer;
  /** Of the registration: the first notification. */
  first: Message;
  readonly #acknowledged = new Set<number>();

  private constructor(raw: HandEndpoint, path: string, token: Buffer, first: Message) {
    this.raw = raw;
    this.path = path;
    this.token = token;
    this.first = first;
  }

  /** @param more what the GET says besides Observe 0 */
  static async begin(raw: HandEndpoint, path: string, more: Fields = {}): Promise<Observation> {
    tokens++;
    const token = Buffer.from([0x0b, tokens >> 8, tokens & 0xff]);
    const first = await raw.ask({
      token,
      ...more,
      options: [...get(path, REGISTER).options!, ...(more.options ?? [])],
    });
    assert.match(first.code, /^2\.0[35]$/);
    return new Observation(raw, path, token, first);
  }

  /** The same registration once more. */
  async again(...options: OptionField[]): Promise<Message> {
    return this.raw.ask({ token: this.token, options: [...get(this.path, REGISTER).options!, ...options] });
  }

  async cancel(): Promise<Message> {
    return this.raw.ask({ token: this.token, ...get(this.path, DEREGISTER) });
  }

  /** The next notification, acknowledged when it is a CON. */
  async next(): Promise<Message> {
    const notification = await this.pending();
    this.acknowledge(notification);
    return notification;
  }

  /** The next notification, not acknowledged; one that was, and comes again, was on its way before. */
  async pending(): Promise<Message> {
    let notification = await this.raw.next();
    while (this.#acknowledged.has(notification.id)) {
      this.acknowledge(notification);
      notification = await this.raw.next();
    }
    assert.equal(notification.token, this.token.toString("hex"));
    assert.ok(["CON", "NON"].includes(notification.type), notification.type);
    return notification;
  }

  /** Notifications until one says this, which is not sent by anybody more than once. */
  async until(payload: string): Promise<Message[]> {
    const all = [await this.next()];
    while (all.at(-1)!.payload.toString() !== payload) all.push(await this.next());
    return all;
  }

  acknowledge({ type, id }: Message): void {
    if (type !== "CON") return;
    this.#acknowledged.add(id);
    this.raw.send(message({ type: ACK, code: 0, id, token: "" }));
  }

  reset({ id }: Message): void {
    this.raw.send(message({ type: RST, code: 0, id, token: "" }));
  }
}

/** RFC 7641 section 3.4, for notifications less than 128 s apart. */
export function isNewer(later: Message, earlier: Message): boolean {
  const [v1 = Number.NaN, v2 = Number.NaN] = [uintOf(earlier, Option.Observe), uintOf(later, Option.Observe)];
  const step = (v2 - v1) & 0xff_ffff;
  return step > 0 && step < 1 << 23;
}
