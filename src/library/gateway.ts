/** The gateway as a part of another program. */
import { SystemClock } from "../base/clock.ts";
import { Log, type LogLevel } from "../base/log.ts";
import { budgetTable, fits } from "../config/budget.ts";
import { ConfigurationError } from "../config/complaint.ts";
import type { Config } from "../config/config.ts";
import { filterProblem } from "../config/topics.ts";
import { DeliveryQueue } from "../core/delivery-queue.ts";
import { HookAuthority } from "../core/hook-authority.ts";
import type { Hooks } from "../core/hooks.ts";
import { memoryBill } from "../gateway/bill.ts";
import type { BoundListener } from "../gateway/bound-listener.ts";
import { judge, readConfiguration } from "../gateway/configuration.ts";
import { Gateway as Root } from "../gateway/gateway.ts";
import { queueLimitsOf, type Rooms } from "../gateway/rooms.ts";
import { GatewayError } from "./errors.ts";
import type { MessageHandler, PublishOptions, SubscribeOptions } from "./message.ts";
import { PUBLISHES_MAX, Publishing } from "./publishing.ts";
import { LocalSubscription } from "./subscription.ts";

export interface GatewayOptions {
  /** The keys of the configuration file as a plain object: `{ data_dir: "...", listeners: [{ type: "mqtt" }] }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Or the file itself. Without either the defaults hold: MQTT on 127.0.0.1:1883. */
  readonly configFile?: string;
  /** Where relative paths in `config` start; default: the working directory. */
  readonly directory?: string;
  readonly hooks?: Hooks;
  /** Where the log goes; default: stderr, as the configuration's `log` says. */
  readonly log?: { readonly level?: LogLevel; readonly write?: (line: string) => void };
}

/** What `subscribe` gives. */
export interface Subscription extends Disposable {
  readonly filter: string;
  /** No more messages come; what a durable subscription has not done with is kept for the next one of its name. */
  close(): void;
}

interface Wanted {
  readonly filter: string;
  readonly options: SubscribeOptions;
  readonly handler: MessageHandler;
  receiver: LocalSubscription | null;
  closed: boolean;
}

/**
 * A whole gateway in this process: listeners, store, uplinks, serial lines. One per `data_dir`; several in one process
 * are fine. It installs no signal handlers and prints nothing but its log.
 *
 *     const gateway = new Gateway({ config: { data_dir: "data", listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] } });
 *     gateway.subscribe("sensors/#", ({ topic, payload }) => console.log(topic, payload.toString()));
 *     const [listener] = await gateway.start();
 *     await gateway.publish("lamp", "on", { qos: 1, retain: true });
 *     await gateway.stop();
 */
export class Gateway implements AsyncDisposable {
  readonly #config: Config;
  readonly #log: Log;
  readonly #clock = new SystemClock();
  readonly #root: Root;
  #rooms: Rooms | null = null;
  #publishing: Publishing | null = null;
  readonly #subscriptions = new Set<Wanted>();
  /** Messages that hooks publish, until the turn is over. */
  #deferred = 0;

  /** @throws ConfigurationError with everything that is wrong; nothing was touched */
  constructor(options: GatewayOptions = {}) {
    this.#config = configOf(options);
    const { level = this.#config.log.level, write } = options.log ?? {};
    this.#log = new Log({ ...this.#config.log, level, ...(write === undefined ? {} : { write }) });
    const onRooms = (rooms: Rooms): void => this.#onRooms(rooms);
    this.#root = new Root(this.#config, this.#log, { hooks: options.hooks ?? {}, onRooms });
  }

  /**
   * Opens the store, then listeners, serial lines and uplinks.
   * @returns the listeners as bound: port 0 picked a free one
   * @throws ConfigurationError when the configuration may take more than `memory_limit`; the error of the first part that
   *   could not start, what had started is stopped again
   */
  async start(): Promise<readonly BoundListener[]> {
    if (this.#rooms !== null) throw new GatewayError("invalid", "the gateway runs already");
    const bill = await memoryBill(this.#config);
    if (!fits(bill, this.#config.memoryLimitBytes)) {
      const problem = `may take more than memory_limit:\n${budgetTable(bill, this.#config.memoryLimitBytes)}`;
      const advice = "raise memory_limit or lower limits";
      throw new ConfigurationError([{ file: null, path: "memory_limit", line: 0, problem, advice }]);
    }
    return this.#root.start().catch((error: unknown) => {
      this.#forgetRooms();
      throw error;
    });
  }

  /** Stops accepting, says goodbye, writes what is open, closes the store. Subscriptions hold for the next `start`. */
  async stop(): Promise<void> {
    if (this.#inHook) await new Promise<void>((resolve) => setImmediate(resolve));
    for (const wanted of this.#subscriptions) wanted.receiver?.close();
    await this.#root.stop();
    this.#forgetRooms();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Publishes a message, with the same limits as everybody's.
   * @param payload text goes as UTF-8; bytes are copied before this returns
   * @returns resolved at QoS 0 when it was routed, else when every durable receiver has it safely. From within a hook it
   *   is published once the hook has returned: do not wait for it there
   * @throws GatewayError (as a rejection): nobody got it
   */
  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const bytes = this.#inHook ? await this.#afterHook(payload) : payload;
    if (this.#publishing === null) throw new GatewayError("not-running", "start the gateway first");
    await this.#publishing.publish(topic, bytes, options);
  }

  /** A hook runs in the middle of a route: what the program wants meanwhile would change it, and begins afterwards. */
  get #inHook(): boolean {
    return this.#rooms?.hookCalls.running === true;
  }

  async #afterHook(payload: string | Uint8Array): Promise<string | Uint8Array> {
    if (this.#deferred >= PUBLISHES_MAX)
      throw new GatewayError("busy", `${PUBLISHES_MAX} messages of hooks wait for the end of the turn`);
    const bytes = typeof payload === "string" ? payload : Uint8Array.from(payload);
    this.#deferred++;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#deferred--;
    return bytes;
  }

  /**
   * Hands messages to `handler`, one at a time; a promise it returns is waited for. One that throws or rejects is
   * counted and logged, and the message counts as refused.
   * @param filter may have wildcards. From within a hook it holds once the hook has returned, and so does `close`
   * @throws GatewayError when the filter is none, or a durable subscription comes too late
   */
  subscribe(filter: string, handler: MessageHandler, options: SubscribeOptions = {}): Subscription {
    const problem = filterProblem(filter);
    if (problem !== null) throw new GatewayError("invalid", `the filter ${problem}`);
    this.#checkName(options.durable);
    const wanted: Wanted = { filter, options, handler, receiver: null, closed: false };
    this.#subscriptions.add(wanted);
    const begin = (): void => {
      if (this.#rooms !== null && this.#subscriptions.has(wanted) && wanted.receiver === null)
        this.#begin(this.#rooms, wanted);
    };
    if (this.#inHook) setImmediate(begin);
    else begin();
    const close = (): void => {
      this.#subscriptions.delete(wanted);
      if (this.#inHook) setImmediate(() => wanted.receiver?.close());
      else wanted.receiver?.close();
    };
    return { filter, close, [Symbol.dispose]: close };
  }

  /** What the `authorize` hook says may have changed: what was remembered of it is asked anew. */
  rightsChanged(): void {
    const authority = this.#rooms?.authority;
    if (authority instanceof HookAuthority) authority.rightsChanged();
  }

  /** How things stand, as plain JSON: what `sluice status --json` prints. */
  status(): Record<string, unknown> {
    return this.#root.status(true);
  }

  #checkName(name: string | undefined): void {
    if (name === undefined) return;
    if (this.#rooms !== null)
      throw new GatewayError(
        "invalid",
        "a durable subscription is made before start: the store must know who needs what",
      );
    for (const { options } of this.#subscriptions)
      if (options.durable === name)
        throw new GatewayError("invalid", `the durable subscription ${name} is there already`);
  }

  #onRooms(rooms: Rooms): void {
    this.#rooms = rooms;
    this.#publishing = new Publishing(rooms.router, this.#config.limits);
    const names = new Set([...this.#subscriptions].map(({ options }) => options.durable));
    rooms.store.deleteOthers("library", (name) => names.has(name));
    for (const wanted of this.#subscriptions) this.#begin(rooms, wanted);
  }

  #begin(rooms: Rooms, wanted: Wanted): void {
    const { router, retained, ledger, store, queueHost } = rooms;
    const { filter, options, handler } = wanted;
    let queue: DeliveryQueue | null = null;
    if (options.durable !== undefined) {
      const record = store.createReceiver("library", options.durable);
      queue = new DeliveryQueue(queueHost, `library:${options.durable}`, record, queueLimitsOf(this.#config));
      store.register(queue);
    }
    const counters = this.#root.counters;
    const bytesMax = this.#config.limits.outputBytes;
    const parts = { router, retained, ledger, clock: this.#clock, counters, log: this.#log, bytesMax };
    wanted.receiver = new LocalSubscription(parts, filter, handler, options, queue);
    wanted.receiver.start();
  }

  #forgetRooms(): void {
    this.#publishing?.stop();
    this.#publishing = null;
    this.#rooms = null;
    for (const wanted of this.#subscriptions) wanted.receiver = null;
  }
}

function configOf({ config, configFile, directory = process.cwd() }: GatewayOptions): Config {
  if (config !== undefined && configFile !== undefined)
    throw new GatewayError("invalid", "give config or configFile, not both");
  // JSON is YAML: one schema judges both.
  const judged =
    config === undefined ? readConfiguration(configFile ?? null) : judge(JSON.stringify(config), directory);
  if (judged.config === null) throw new ConfigurationError(judged.complaints);
  return judged.config;
}
