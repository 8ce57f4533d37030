/** What all CoAP listeners of a gateway have in common; made with the first of them. */
import type { Counter } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { Limits } from "../../config/limits.ts";
import type { Principal } from "../../core/ports.ts";
import type { RetainedWatcher } from "../../core/retained.ts";
import { UNAUTHORIZED } from "../../wire/coap/codes.ts";
import { BlockMemory } from "./blocks/block-memory.ts";
import { LargeReads, budget as readsBudget } from "./blocks/large-reads.ts";
import { LargeValues, budget as largeValuesBudget } from "./blocks/large-values.ts";
import { type UploadParts, uploadLimits, budget as uploadsBudget } from "./blocks/upload-table.ts";
import { Uploads } from "./blocks/uploads.ts";
import {
  type ConnectionFollower,
  type ConnectionParts,
  ConnectionTable,
  budget as connectionsBudget,
} from "./connection/connection-table.ts";
import { type MessageParts, MessageTables, messageLimits, budget as messagesBudget } from "./message/message-tables.ts";
import { observerLimits, budget as observersBudget } from "./observe/limits.ts";
import { type ObserverParts, Observers } from "./observe/observers.ts";
import { FetchedFilters, budget as fetchedBudget } from "./resources/fetched-filters.ts";
import { type ListParts, budget as listsBudget, TopicLists } from "./resources/topic-lists.ts";

export type SharedParts = ConnectionParts &
  MessageParts &
  UploadParts &
  ListParts &
  Omit<ObserverParts, "largeValues"> & {
    readonly limits: Pick<Limits, "maxPacketBytes" | "coapObservers" | "coapExchanges">;
    readonly retained: { watcher: RetainedWatcher | null };
  };

/** Bytes of requests kept while their logins are looked up; beyond it requests are refused with 5.03. */
export const LOGIN_BYTES_MAX = 96 * 1024;

export class CoapShared implements ConnectionFollower {
  readonly messages: MessageTables;
  readonly connections: ConnectionTable;
  readonly uploads: Uploads;
  readonly largeReads: LargeReads;
  readonly largeValues: LargeValues;
  readonly lists: TopicLists;
  readonly fetched = new FetchedFilters();
  readonly observers: Observers;
  #listeners = 0;
  #loginBytes = 0;
  readonly #loginsRefused: Counter;

  constructor(parts: SharedParts) {
    this.messages = new MessageTables(parts, messageLimits(parts.limits.coapExchanges));
    this.connections = new ConnectionTable(parts);
    this.#loginsRefused = parts.counters.counter("coap.logins_refused");
    const limits = uploadLimits(parts.limits.maxPacketBytes);
    const memory = new BlockMemory(limits.memoryBytes);
    this.uploads = new Uploads(parts, limits, memory);
    this.largeReads = new LargeReads(memory, parts.clock);
    parts.retained.watcher = this.largeReads;
    this.largeValues = new LargeValues(parts);
    this.lists = new TopicLists(parts);
    const { coapObservers } = parts.limits;
    this.observers = new Observers({ ...parts, largeValues: this.largeValues }, observerLimits(coapObservers));
    this.connections.follower = this;
  }

  /** A number of its own for each listener, whose peers are peers of their own. */
  newListener(): number {
    return ++this.#listeners;
  }

  /** What a client observes ends with its connection: its token would be refused, as the client is told. */
  onConnectionEnded(principal: Principal, saidGoodbye: boolean): void {
    this.observers.endAll(principal, saidGoodbye ? 0 : UNAUTHORIZED);
  }

  stop(): void {
    this.connections.stop();
    this.uploads.close();
  }

  /** Whether a request of so many bytes may be kept for its login. */
  takeLoginBytes(bytes: number): boolean {
    if (this.#loginBytes + bytes > LOGIN_BYTES_MAX) {
      this.#loginsRefused.value++;
      return false;
    }
    this.#loginBytes += bytes;
    return true;
  }

  giveLoginBytes(bytes: number): void {
    this.#loginBytes -= bytes;
  }
}

/** Worst case of it, however many listeners there are. */
export function budget(limits: SharedParts["limits"]): Line[] {
  return [
    ...messagesBudget(messageLimits(limits.coapExchanges)),
    { owner: "coap logins", bytes: LOGIN_BYTES_MAX, how: `${LOGIN_BYTES_MAX} B of requests whose login is looked up` },
    connectionsBudget(),
    uploadsBudget(limits.maxPacketBytes),
    readsBudget(),
    largeValuesBudget(),
    listsBudget(),
    fetchedBudget(),
    observersBudget(observerLimits(limits.coapObservers)),
  ];
}
