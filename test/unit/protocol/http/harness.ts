/** The HTTP paths behind a real node:http server on a free loopback port, with a router and an authority of the test's. */
import { createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { type Message, messageOf } from "../../../../src/core/message.ts";
import { fillPublication, PublishOptions } from "../../../../src/core/plain-publish.ts";
import type { LoginRequest, LoginWaiter, StoreHealth, StoreWaiter } from "../../../../src/core/ports.ts";
import { Publication } from "../../../../src/core/publication.ts";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import { HttpApi } from "../../../../src/protocol/http/http-api.ts";
import type { HttpListenerOptions } from "../../../../src/protocol/http/parts.ts";

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  json: () => Record<string, unknown>;
}

export interface Published {
  topic: string;
  payload: Buffer;
  qos: number;
  retain: boolean;
  expirySeconds: number;
  message: Message;
}

export class Harness {
  readonly clock = new ManualClock();
  readonly counters = new Counters();
  readonly published: Published[] = [];
  readonly waiters: StoreWaiter[] = [];
  readonly retainedValues = new Map<string, Message>();
  readonly logins: LoginRequest[] = [];
  readonly loginWaiters: LoginWaiter[] = [];
  readonly limits = { topicLevels: 8, topicBytes: 64, maxPacketBytes: 4096 };
  health: StoreHealth = "ok";
  outcome = ROUTED;
  loginsWait = false;
  readable = true;
  writable = true;
  readonly server: Server;
  /** Called at each publication and each login that waits. */
  #changed: (() => void)[] = [];

  constructor(options: HttpListenerOptions = { anonymous: null }) {
    const api = new HttpApi(
      {
        router: { publish: (publication, waiter) => this.#publish(publication, waiter) },
        retained: {
          get: (topic) => (this.health === "failed" ? undefined : this.retainedValues.get(topic)),
          has: (topic) => this.retainedValues.has(topic),
        },
        authority: {
          authenticate: (login, waiter) => this.#authenticate(login, waiter),
          mayPublish: () => this.writable,
          mayRead: () => this.readable,
        },
        health: () => this.health,
        clock: this.clock,
        counters: this.counters,
        limits: this.limits,
        admitLogin: () => true,
      },
      options,
    );
    this.server = createServer(api.onRequest);
  }

  static async open(options?: HttpListenerOptions): Promise<Harness> {
    const harness = new Harness(options);
    await new Promise<void>((resolve) => harness.server.listen(0, "127.0.0.1", resolve));
    return harness;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Resolves when `condition` holds, looked at after each publication and login. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  ask(method: string, path: string, body: string | Buffer = "", headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ port: this.port, host: "127.0.0.1", method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          resolve({ status, headers: response.headers, body: text, json: () => JSON.parse(text) });
        });
      });
      asked.on("error", reject);
      asked.end(body);
    });
  }

  retain(topic: string, payload: string, mediaType: string | null = null): void {
    const publication = new Publication();
    fillPublication(publication, topic, Buffer.from(payload), new PublishOptions(), mediaType);
    this.retainedValues.set(topic, messageOf(publication, this.clock.ageMs()));
  }

  #publish(publication: Publication, waiter: StoreWaiter): number {
    const message = messageOf(publication, this.clock.ageMs());
    this.published.push({
      topic: publication.topic,
      payload: message.payload,
      qos: publication.qos,
      retain: publication.retain,
      expirySeconds: publication.expirySeconds,
      message,
    });
    if (this.outcome === STORED_LATER) this.waiters.push(waiter);
    this.#tell();
    return this.outcome;
  }

  #authenticate(login: LoginRequest, waiter: LoginWaiter): void {
    this.logins.push(login);
    if (this.loginsWait) this.loginWaiters.push(waiter);
    else if (login.password !== null && login.password.toString() !== "sec:ret") waiter.onLogin(null, 0x86);
    else waiter.onLogin({ name: login.userName ?? "", clientId: login.clientId }, 0);
    this.#tell();
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
