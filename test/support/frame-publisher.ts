// Frames for a serial line, published over MQTT at QoS 1, and the judgement of what the device heard.
import assert from "node:assert/strict";
import type { MqttCollector } from "./mqtt-collector.ts";

/** Frames are published whatever the line does; each that was acknowledged has to be heard, in order, once at least. */
export class FramePublisher {
  /** Of a burst. */
  static readonly framesEach = 10;
  readonly #client: MqttCollector;
  readonly acknowledged: string[] = [];

  constructor(client: MqttCollector) {
    this.#client = client;
  }

  async burst(): Promise<void> {
    for (let i = 0; i < FramePublisher.framesEach; i++) {
      const frame = `frame ${this.acknowledged.length}`;
      await this.#client.client.publishAsync("meter/set", frame, { qos: 1 });
      this.acknowledged.push(frame);
    }
  }

  assertHeard(heard: string): void {
    const first: string[] = [];
    const seen = new Set<string>();
    for (const line of heard.split("\n")) {
      if (!line.startsWith("frame ") || seen.has(line)) continue;
      seen.add(line);
      first.push(line);
    }
    const whole = new Set(this.acknowledged);
    assert.deepEqual(
      first.filter((line) => whole.has(line)),
      this.acknowledged,
    );
  }
}
