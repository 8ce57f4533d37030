// A CoAP client over DTLS, by the gateway's own addon and client: for sessions that stay, which no program of libcoap's
// keeps for a test, and for datagrams at the moment the test wants.
import { randomBytes } from "node:crypto";
import type { Packet } from "coap-packet";
import { SystemClock } from "../../src/base/clock.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { type DtlsOptions, loadDtls } from "../../src/native/dtls/binding.ts";
import { connectDtls, type DtlsClient } from "../../src/transport/dtls/client.ts";
import { type Response, requestOf, responseOf } from "./coap-messages.ts";
import { eventually } from "./eventually.ts";
import { requireThat, type Skip } from "./peers.ts";

export interface CoapsOptions {
  readonly host?: string;
  readonly localPort?: number;
  readonly resume?: Uint8Array;
  readonly handshakeTimeoutMs?: number;
}

/** For a test's `skip`. */
export function requireDtls(): Skip {
  const addon = loadDtls();
  return requireThat(typeof addon !== "string", String(addon));
}

export function psk(identity: string | Buffer, key: string | Buffer): Omit<DtlsOptions, "role"> {
  return { psk: [{ identity: Buffer.from(identity), key: Buffer.from(key) }] };
}

export class CoapsPeer {
  readonly received: Response[] = [];
  /** What ended the session: undefined = nothing yet, null = the server said goodbye. */
  closed: string | null | undefined = undefined;
  #client: DtlsClient | null = null;
  readonly #wheel = new TimerWheel(new SystemClock(), 10);
  #messageId = randomBytes(2).readUInt16BE();

  /** @throws Error in words when there is no session */
  static async open(
    port: number,
    credentials: Omit<DtlsOptions, "role">,
    options: CoapsOptions = {},
  ): Promise<CoapsPeer> {
    const peer = new CoapsPeer();
    peer.#wheel.start();
    const where = { host: "127.0.0.1", port, wheel: peer.#wheel, credentials, ...options };
    try {
      peer.#client = await connectDtls(where, {
        onData: (bytes) => peer.received.push(responseOf(Buffer.from(bytes))),
        onClose: (error) => {
          peer.closed = error;
        },
      });
    } catch (error) {
      peer.#wheel.stop();
      throw error;
    }
    return peer;
  }

  get client(): DtlsClient {
    return this.#client as DtlsClient;
  }

  /** Sends a CON, once. @returns its token */
  send(path: string, packet: Packet = {}): string {
    const token = randomBytes(4);
    this.#messageId = (this.#messageId + 1) & 0xffff;
    const request = { confirmable: true, token, messageId: this.#messageId, ...packet };
    this.client.send(requestOf(request, path));
    return token.toString("hex");
  }

  /** One request and its answer. */
  async ask(path: string, packet: Packet = {}): Promise<Response> {
    const token = this.send(path, packet);
    await eventually(`an answer to ${path}`, () => this.received.some((response) => response.token === token));
    return this.received.find((response) => response.token === token) as Response;
  }

  /** Without a word, as in a power cut. */
  vanish(): void {
    this.client.vanish();
    this.#wheel.stop();
  }

  [Symbol.dispose](): void {
    this.client.close();
    this.#wheel.stop();
  }
}
