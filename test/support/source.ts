// A device that publishes as fast as it is answered, to two topics in turn, with its name, the topic and a number in each
// payload. What it was told is stored is in `acknowledged`.
import { eventually } from "./eventually.ts";
import type { MqttPeer, Outgoing } from "./mqtt-peer.ts";

/** What a source has on its way at once, unless the test says otherwise. */
const WINDOW = 20;

export class Source {
  readonly peer: MqttPeer;
  readonly acknowledged: Outgoing[] = [];
  /** Told of each when it is acknowledged. */
  onAcknowledged: (message: Outgoing) => void = () => {};
  readonly #root: string;
  readonly #qos: 1 | 2;
  readonly #window: number;
  readonly #padding: string;
  #next = 0;
  #until = 0;

  /** @param padding more bytes, in front in each payload */
  constructor(peer: MqttPeer, qos: 1 | 2, root: string, window = WINDOW, padding = 0) {
    this.peer = peer;
    this.#qos = qos;
    this.#root = root;
    this.#window = window;
    this.#padding = padding === 0 ? "" : `${"-".repeat(padding)} `;
    peer.onAcknowledged = (message) => {
      this.acknowledged.push(message);
      this.onAcknowledged(message);
      this.#publish();
    };
  }

  /** Publishes up to this number in all and waits until they are acknowledged. */
  async publishTo(count: number, timeoutMs = 30_000): Promise<void> {
    this.#until = count;
    const busy = this.#next - this.acknowledged.length;
    for (let i = busy; i < this.#window; i++) this.#publish();
    const { clientId } = this.peer;
    await eventually(`${clientId} has ${count} acknowledged`, () => this.acknowledged.length >= count, timeoutMs);
  }

  #publish(): void {
    if (this.#next >= this.#until) return;
    const number = this.#next++;
    const topic = `${this.#root}/${this.peer.clientId}/${number % 2}`;
    const payload = `${this.#padding}${this.peer.clientId} ${topic} ${number}`;
    this.peer.publish({ topic, payload, qos: this.#qos, retain: false });
  }
}
