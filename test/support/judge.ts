// Judges what came of the messages that a gateway acknowledged, by their topic and the number at the end of the payload:
// nothing is lost, first arrivals keep the order of their topic, QoS 2 comes once, and QoS 1 no more than the window
// often again after each interruption. Answers at once however many messages there are.
import assert from "node:assert/strict";
import { eventually } from "./eventually.ts";
import { type Known, numberOf } from "./journal.ts";

interface TopicAccount {
  readonly acknowledged: boolean[];
  /** How often each came. */
  readonly arrivals: number[];
  highest: number;
}

export interface Verdict {
  /** Interruptions that may have cost an acknowledgement. */
  readonly cuts: number;
  /** Messages that may be outstanding at one of them. */
  readonly window: number;
}

const SHOWN_MAX = 10;

export class Judge {
  /** Different messages that came. */
  arrived = 0;
  /** Arrivals of QoS 1 beyond the first. */
  repeated = 0;
  /** Acknowledged and not there. */
  lacking = 0;
  /** First arrivals behind a later message of their topic. */
  readonly disorder: string[] = [];
  /** QoS 2 that came again. */
  readonly twice: string[] = [];
  /** What nobody published. */
  readonly foreign: string[] = [];
  /** Told of each arrival. */
  onArrival: () => void = () => {};
  readonly #topics = new Map<string, TopicAccount>();
  readonly #remote: (topic: string) => string;
  readonly #isOnce: (topic: string) => boolean;

  /** @param remote the topic under which a device's topic arrives  @param isOnce whether what arrives there is QoS 2 */
  constructor(remote: (topic: string) => string, isOnce: (topic: string) => boolean) {
    this.#remote = remote;
    this.#isOnce = isOnce;
  }

  /** The gateway has told its publisher that it is stored. */
  acknowledged({ topic, payload }: Known): void {
    const account = this.#account(this.#remote(topic));
    const number = numberOf(payload);
    if (account.acknowledged[number]) return;
    account.acknowledged[number] = true;
    if (!account.arrivals[number]) this.lacking++;
  }

  arrive({ topic, payload }: Known): void {
    const number = numberOf(payload);
    const published = payload.split(" ").at(-2) ?? "";
    if (this.#remote(published) !== topic) this.foreign.push(`${topic} ${payload}`);
    const account = this.#account(topic);
    const times = account.arrivals[number] ?? 0;
    account.arrivals[number] = times + 1;
    if (times > 0) {
      if (this.#isOnce(topic)) this.twice.push(`${topic} ${number}`);
      else this.repeated++;
    } else {
      this.arrived++;
      if (number < account.highest) this.disorder.push(`${topic}: ${number} after ${account.highest}`);
      if (account.acknowledged[number]) this.lacking--;
    }
    account.highest = Math.max(account.highest, number);
    this.onArrival();
  }

  #account(topic: string): TopicAccount {
    let account = this.#topics.get(topic);
    if (account === undefined) {
      account = { acknowledged: [], arrivals: [], highest: -1 };
      this.#topics.set(topic, account);
    }
    return account;
  }

  /** The first of those acknowledged that are not there. */
  missing(): string[] {
    const missing: string[] = [];
    for (const [topic, { acknowledged, arrivals }] of this.#topics) {
      for (let number = 0; number < acknowledged.length && missing.length < SHOWN_MAX; number++) {
        if (acknowledged[number] && !arrivals[number]) missing.push(`${topic} ${number}`);
      }
    }
    return missing;
  }

  /** Waits until so many different messages are there. */
  async untilArrived(count: number, timeoutMs = 30_000): Promise<void> {
    await eventually(`${count} arrived`, () => this.arrived >= count, timeoutMs).catch(() => {
      throw new Error(`${this.arrived} of ${count} arrived; the first that are missing: ${this.missing().join(", ")}`);
    });
  }

  /** Waits until all that was acknowledged is there. @param silenceMsMax it fails when nothing came for so long */
  async untilComplete(silenceMsMax = 30_000): Promise<void> {
    let arrived = -1;
    while (this.lacking > 0 && arrived < this.arrived) {
      ({ arrived } = this);
      const goesOn = (): boolean => this.lacking === 0 || this.arrived > arrived;
      await eventually("more is at the cloud", goesOn, silenceMsMax).catch(() => {});
    }
    if (this.lacking > 0) throw new Error(`${this.lacking} are missing, the first: ${this.missing().join(", ")}`);
  }

  /** Fails unless all is as promised. */
  verdict({ cuts, window }: Verdict): void {
    assert.equal(this.lacking, 0, `lost: ${this.missing().join(", ")}`);
    assert.deepEqual(this.disorder.slice(0, SHOWN_MAX), [], "order per topic");
    assert.deepEqual(this.twice.slice(0, SHOWN_MAX), [], "QoS 2 comes once");
    assert.deepEqual(this.foreign.slice(0, SHOWN_MAX), [], "nothing that nobody published");
    const most = cuts * window;
    assert.ok(this.repeated <= most, `${this.repeated} duplicates, at most ${most} after ${cuts} interruptions`);
  }
}
