import type { Balance } from "./balance.ts";
import type { Device } from "./devices/device.ts";

const TICK_MS = 20;

/** Lets the devices send at their own pace and keeps their accounts. */
export class Fleet {
  readonly #devices: readonly Device[];
  readonly #balance: Balance;
  readonly #underWay = new Map<string, number>();
  /** Messages due and not sent yet, a fraction included. */
  readonly #due = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor(devices: readonly Device[], balance: Balance) {
    this.#devices = devices;
    this.#balance = balance;
    for (const device of devices) balance.open(device.source, device.speaks, device.acknowledges);
  }

  get messagesPerSecond(): number {
    return this.#devices.reduce((sum, device) => sum + device.messagesPerSecond, 0);
  }

  /** `pace` multiplies every device's own. */
  start(pace = 1): void {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      for (const device of this.#devices) this.#sendDue(device, (pace * (now - last)) / 1_000);
      last = now;
    }, TICK_MS);
  }

  /** Stops sending and waits until every message under way is answered, or `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const deadline = performance.now() + timeoutMs;
    while ([...this.#underWay.values()].some((count) => count > 0) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  #sendDue(device: Device, seconds: number): void {
    const { source, messagesPerSecond, windowMax } = device;
    let due = (this.#due.get(source) ?? 0) + messagesPerSecond * seconds;
    while (due >= 1 && (this.#underWay.get(source) ?? 0) < windowMax) {
      due--;
      this.#send(device);
    }
    this.#due.set(source, Math.min(due, messagesPerSecond)); // a device that was held up does not catch up for ever
  }

  #send(device: Device): void {
    const { source } = device;
    const sequence = this.#balance.send(source);
    this.#count(source, 1);
    device.publish(payloadOf(source, sequence), (refusal) => {
      this.#count(source, -1);
      if (refusal !== null) this.#balance.refuse(source);
      else if (device.acknowledges) this.#balance.acknowledge(source, sequence);
    });
  }

  #count(source: string, change: number): void {
    this.#underWay.set(source, (this.#underWay.get(source) ?? 0) + change);
  }
}

function payloadOf(source: string, sequence: number): string {
  const value = 20 + Math.round(50 * Math.sin(sequence / 30)) / 10;
  return JSON.stringify({ source, seq: sequence, value });
}
