/**
 * What a program that embeds the gateway may decide itself. Without a hook the configuration decides. A hook that throws
 * refuses; that is counted (`hooks.failed`) and logged once until it works again.
 *
 * `authorize` and `onPublish` are called while the router works on a route: nothing may be published, subscribed or ended
 * before they have returned (`HookCalls.running`).
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { LoginRequest, Principal } from "./ports.ts";
import type { Publication } from "./publication.ts";

/** For `authorize`: to publish a topic, to subscribe to a filter, to be given messages of a topic. */
export type Action = "publish" | "subscribe" | "read";

export interface Hooks {
  /**
   * Who logs in, on any listener.
   * @returns the user's name ("" = nobody in particular), null to refuse, undefined to let the configuration decide.
   *   A promise is waited for, AUTHENTICATE_MS_MAX at most.
   */
  readonly authenticate?: (login: Readonly<LoginRequest>) => Verdict | Promise<Verdict>;
  /**
   * Called within the packet path: it must answer at once. "read" is remembered per topic until `rightsChanged`.
   * @returns undefined to let the configuration decide
   */
  readonly authorize?: (who: Principal, action: Action, topic: string) => boolean | undefined;
  /** Called for each message before anybody gets it; it must answer at once. @returns false to refuse it */
  readonly onPublish?: (message: PublishedMessage) => boolean;
}

export type Verdict = { readonly userName: string } | null | undefined;

/** A message on its way in. The object and its payload are valid until the hook returns. */
export class PublishedMessage {
  #publication: Publication | null = null;
  /** Who publishes; null for what comes in by an uplink or from the program itself. */
  publisher: Principal | null = null;

  /** For the router. */
  show(publication: Publication, publisher: Principal | null): void {
    this.#publication = publication;
    this.publisher = publisher;
  }

  get topic(): string {
    return this.#shown.topic;
  }

  get payload(): Buffer {
    const { bytes, payloadFrom, payloadEnd } = this.#shown;
    return bytes.subarray(payloadFrom, payloadEnd);
  }

  get qos(): number {
    return this.#shown.qos;
  }

  get retain(): boolean {
    return this.#shown.retain;
  }

  get #shown(): Publication {
    if (this.#publication === null) throw new Error("a message is valid only while its hook runs");
    return this.#publication;
  }

  hide(): void {
    this.#publication = null;
  }
}

/** Calls hooks, and answers for those that throw. */
export class HookCalls {
  readonly #log: Log;
  readonly #failed: Counter;
  readonly #broken = new Set<string>();
  readonly #message = new PublishedMessage();
  /** A hook is being asked in the middle of a publication or subscription: who calls the gateway has to wait. */
  running = false;

  constructor(counters: Counters, log: Log) {
    this.#log = log;
    this.#failed = counters.counter("hooks.failed");
  }

  /** `onPublish` as the router wants it. */
  publishGate(onPublish: NonNullable<Hooks["onPublish"]>): (p: Publication, publisher: Principal | null) => boolean {
    return (publication, publisher) => {
      const message = this.#message;
      message.show(publication, publisher);
      this.running = true;
      try {
        const passes = onPublish(message) !== false;
        this.worked("onPublish");
        return passes;
      } catch (error) {
        return this.failed("onPublish", error);
      } finally {
        this.running = false;
        message.hide();
      }
    };
  }

  /** @returns false: refused */
  failed(hook: string, error: unknown): false {
    this.#failed.value++;
    if (!this.#broken.has(hook)) {
      this.#broken.add(hook);
      this.#log.error("hook-failed", { hook, reason: error instanceof Error ? error.message : String(error) });
    }
    return false;
  }

  worked(hook: string): void {
    if (this.#broken.size === 0 || !this.#broken.delete(hook)) return;
    this.#log.info("hook-works-again", { hook });
  }
}
