/**
 * Groups that are in the log of the database, and who waits for them. Publishers whose topic asks for no more are told
 * after the commit; the others, and everybody else, when a sync of the log covers the group.
 *
 *     commit --> | group, its early waiters told | ... | group | --sync of the log--> the rest told, forgotten
 *
 * A group that nobody waits for longer leaves at once, but not before those in front of it: whoever waits for
 * "everything up to now" stands at the end.
 *
 * Nobody is told while another is being told. Whoever is told may call the store, which may write and tell again: that
 * is told afterwards, so that the order of the groups is kept.
 */
import type { StoreWaiter } from "../core/ports.ts";
import { Group } from "./group.ts";
import type { Health } from "./health.ts";
import { AT_CHECKPOINT, type Levels, ON_MEDIUM, WITHIN_SECONDS } from "./level.ts";
import type { WalSync } from "./wal-sync.ts";

/** `sync: normal`: what is written is on the medium after this time. */
const NORMAL_SYNC_MS = 5000;

export class Written {
  readonly #wal: WalSync;
  readonly #health: Health;
  readonly #levels: Levels;
  /** In log order. */
  readonly #groups: Group[] = [];
  /** So many of them have told their early waiters. */
  #toldEarly = 0;
  #bytes = 0;
  /** Messages up to here are safe at their durability, or were never written. */
  durableSeq: number;
  /** The commit that somebody waits for. */
  #wanted = 0;
  #timer: NodeJS.Timeout | null = null;
  #telling = false;

  constructor(wal: WalSync, health: Health, levels: Levels, lastSeq: number) {
    this.#wal = wal;
    this.#health = health;
    this.#levels = levels;
    this.durableSeq = lastSeq;
  }

  get groups(): readonly Group[] {
    return this.#groups;
  }

  /** Receiver `id` is done with row `seq`, of a group that is written; `from` and `upTo` find the message without it. */
  struck(seq: number, id: number): void {
    for (const group of this.#groups) {
      const message = group.from(seq);
      if (message === null || message.seq !== seq) continue;
      const index = message.receiverIds.indexOf(id);
      if (index >= 0) message.receiverIds[index] = 0;
      return;
    }
  }

  /** Bytes of the messages in them. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * `group` is written. Its waiters are told by `tell`.
   * @param changes rows around sessions, or retained values, are in it
   */
  add(group: Group, endSeq: number, changes: boolean): void {
    const level = group.level(this.#levels);
    group.writtenEndSeq = endSeq;
    group.markWritten();
    this.#groups.push(group);
    this.#bytes += group.bytes;
    if (level === ON_MEDIUM) {
      group.number = this.#wal.written;
      this.#want(group.number);
    } else if (level === WITHIN_SECONDS || (changes && this.#levels.highest !== AT_CHECKPOINT)) {
      this.#syncLater();
    }
  }

  /** Whoever waits for everything up to now. @returns false when nothing is under way */
  barrier(waiter: StoreWaiter, token: number): boolean {
    const wal = this.#wal;
    if (this.#levels.highest === ON_MEDIUM && wal.synced < wal.written && !this.#health.failed) {
      const last = this.#groups.at(-1);
      if (last === undefined || last.number < wal.written) {
        // What was written last is not waited for yet.
        const group = new Group(0);
        group.number = wal.written;
        group.writtenEndSeq = last === undefined ? this.durableSeq + 1 : last.writtenEndSeq;
        this.#groups.push(group);
        this.#want(wal.written);
      }
    }
    const last = this.#groups.at(-1);
    last?.barriers.push({ waiter, token });
    return last !== undefined;
  }

  #want(number: number): void {
    this.#wanted = Math.max(this.#wanted, number);
    this.sync();
  }

  /** Starts a sync of the log if somebody waits for one. */
  sync(): void {
    if (this.#wal.synced < this.#wanted) this.#wal.start();
  }

  #syncLater(): void {
    if (this.#timer === null && this.#wal.synced < this.#wal.written) {
      this.#timer = setTimeout(this.#onTimer, NORMAL_SYNC_MS);
    }
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#want(this.#wal.written);
  };

  /** Tells those whose time has come. */
  tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      while (this.#tellNext());
    } finally {
      this.#telling = false;
    }
  }

  #tellNext(): boolean {
    const first = this.#groups[0];
    if (first !== undefined && first.number <= this.#wal.synced) {
      this.#groups.shift();
      this.#bytes -= first.bytes;
      if (this.#toldEarly > 0) this.#toldEarly--;
      this.durableSeq = first.writtenEndSeq - 1;
      first.tellDurable();
      return true;
    }
    const group = this.#groups[this.#toldEarly];
    if (group === undefined) return false;
    this.#toldEarly++;
    group.tellWritten(this.#levels);
    return true;
  }

  /** Step 15: none of them will ever be on the medium, as far as anybody knows. */
  fail(reason: number): void {
    this.stop();
    const groups = this.#groups.splice(0);
    this.#toldEarly = 0;
    this.#bytes = 0;
    for (const group of groups) group.tellWaiters(reason);
  }

  /** No timer from now on. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
