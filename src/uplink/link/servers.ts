/** The servers of an uplink in failover order, and whose turn it is. */
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { DialTarget } from "../../transport/dialer.ts";
import { addressAndPort } from "../../transport/peer-address.ts";
import type { LadderPlace } from "../client/client-options.ts";
import { targetOf } from "./uplink-connection.ts";

export interface Server {
  readonly url: string;
  readonly target: DialTarget;
  /** "broker.example.com:8883" */
  readonly name: string;
  /** Which version of MQTT it takes. */
  readonly ladder: LadderPlace;
}

/** What a server has to answer in the first round, where another one may. */
const FIRST_DIAL_TIMEOUT_MS = 15_000;

export class Servers {
  readonly all: readonly Server[];
  #index = 0;
  /** Tries of this round that failed. */
  #failed = 0;
  /** No round has failed since a connection lasted. */
  #first = true;

  constructor(config: UplinkConfig) {
    this.all = config.urls.map((url) => {
      const target = targetOf(config, url);
      return { url, target, name: addressAndPort(target.host, target.port), ladder: { rung: 0, proven: false } };
    });
  }

  /** The first of the list, which is preferred. */
  get primary(): Server {
    return this.all[0] as Server;
  }

  get current(): Server {
    return this.all[this.#index] as Server;
  }

  /** How to reach the current one: links that need long get their time, but not before another server was asked. */
  dialTarget(againMs: number): DialTarget {
    const { target } = this.current;
    const timeoutMs = this.all.length > 1 && this.#first ? FIRST_DIAL_TIMEOUT_MS : target.timeoutMs;
    return { ...target, timeoutMs, againMs };
  }

  get onPrimary(): boolean {
    return this.#index === 0;
  }

  /** Begins a round with the primary. */
  begin(): void {
    this.#index = 0;
    this.#failed = 0;
  }

  /** The connection to the current one has lasted: should it end, it is tried first, and then all others. */
  lasted(): void {
    this.#failed = 0;
    this.#first = true;
  }

  /**
   * The current one could not be reached, or not for long: the next one's turn.
   * @returns true when that was the last of a round; the next begins with the primary
   */
  failed(): boolean {
    this.#failed++;
    this.#index = (this.#index + 1) % this.all.length;
    if (this.#failed < this.all.length) return false;
    this.begin();
    this.#first = false;
    return true;
  }

  /** Says which server it was, where there are several. */
  wordsOf(why: string): string {
    const { name } = this.current;
    return this.all.length === 1 || why.startsWith(name) ? why : `${name}: ${why}`;
  }
}
