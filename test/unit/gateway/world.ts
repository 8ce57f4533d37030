/** A gateway with rooms that a test looks into, and a configuration that it reloads. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Log } from "../../../src/base/log.ts";
import type { Config } from "../../../src/config/config.ts";
import { load } from "../../../src/config/load.ts";
import { Publication } from "../../../src/core/publication.ts";
import type { Receiver } from "../../../src/core/receiver.ts";
import { type Router, STORED_LATER } from "../../../src/core/router.ts";
import { Gateway, type ReloadReport } from "../../../src/gateway/gateway.ts";
import type { Rooms } from "../../../src/gateway/rooms.ts";

export type Keys = Record<string, unknown>;

export class GatewayWorld implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly log: string[] = [];
  /** Publications that were acknowledged: topic and payload. */
  readonly acknowledged: string[] = [];
  readonly #folder: string;
  readonly #keys: Keys;
  #rooms: Rooms | null = null;

  /** @param keys of the configuration, beside those that every test needs */
  constructor(folder: string, keys: Keys) {
    this.#folder = folder;
    this.#keys = { data_dir: join(folder, "data"), listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], ...keys };
    const log = new Log({ level: "info", format: "text", write: (line) => void this.log.push(line.slice(25)) });
    this.gateway = new Gateway(this.#config({}), log, {
      hooks: {},
      onRooms: (rooms) => {
        this.#rooms = rooms;
      },
    });
  }

  #config(keys: Keys): Config {
    const text = JSON.stringify({ ...this.#keys, ...keys });
    const { config, complaints } = load(text, { directory: this.#folder, checkFiles: false });
    assert.deepEqual(complaints, []);
    assert.ok(config !== null);
    return config;
  }

  /** @param keys in the place of those it began with */
  reloadWith(keys: Keys): Promise<ReloadReport> {
    return this.gateway.reload(this.#config(keys));
  }

  get rooms(): Rooms {
    assert.ok(this.#rooms !== null);
    return this.#rooms;
  }

  /** At QoS 1. @returns whether somebody has to keep it */
  publish(topic: string, payload: string): boolean {
    const p = new Publication();
    p.setParts(topic, Buffer.from(payload), 1, false);
    const router: Router = this.rooms.router;
    const onStored = (_token: number, reason: number): void => {
      if (reason === 0) this.acknowledged.push(`${topic} ${payload}`);
    };
    return router.publish(p, { onStored }, 0) === STORED_LATER;
  }

  /** "topic payload" of what somebody gets who subscribes at QoS 0. */
  subscriber(filter: string): string[] {
    const got: string[] = [];
    const receiver: Receiver = {
      slot: -1,
      principal: null,
      queue: null,
      durable: false,
      effectiveQos: () => 0,
      congested: () => false,
      deliver: ({ topic, bytes, payloadFrom, payloadEnd }) =>
        void got.push(`${topic} ${bytes.toString("utf8", payloadFrom, payloadEnd)}`),
    };
    this.rooms.router.join(receiver);
    this.rooms.router.subscribe(receiver, filter, 0, 0);
    return got;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop();
  }
}
