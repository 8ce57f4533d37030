// Other people's CoAP clients against a gateway: libcoap's coap-client and npm's coap. A client by hand is RawCoap.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { Agent, type IncomingMessage, type OptionValue, request } from "coap";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

/** Where a CoAP server is: a `GatewayProcess`'s first CoAP listener, or a port (of a LossyUdp, say). */
export type Door = { port(type: string): number } | { readonly port: number; readonly host?: string };

/** Its address as numbers, whichever form it has. */
export function whereIs(door: Door): { host: string; port: number } {
  if (!("host" in door) && typeof door.port === "function") return { host: "127.0.0.1", port: door.port("coap") };
  const { host = "127.0.0.1", port } = door as { readonly port: number; readonly host?: string };
  return { host, port };
}

/** How coap-client is to be started; the rest of its words go as they are. */
export interface LibcoapOptions {
  /** Debian has one for each TLS library; the default is whichever is there. */
  readonly program?: "coap-client-notls" | "coap-client-openssl" | "coap-client-gnutls" | "coap-client";
  readonly scheme?: "coap" | "coaps";
}

/**
 * Runs libcoap's client to its end. Its exit code is 0 whatever happened, so judge what it printed: each message as a
 * line `v:1 t:ACK c:2.05 i:889a {01} [ ETag:0x7dbd, ... ] :: 'payload'`, then payloads, and errors.
 * @param path with the query
 */
export function libcoap(door: Door, path: string, ...args: string[]): Promise<string> {
  return libcoapBy({}, door, path, ...args);
}

export async function libcoapBy(how: LibcoapOptions, door: Door, path: string, ...args: string[]): Promise<string> {
  const [program, ...words] = commandOf(how, door, path, args);
  const { stdout, stderr } = await promisify(execFile)(program as string, words, { maxBuffer: 4 << 20 });
  return stdout + stderr;
}

/** Words for a client that gives up after 10 s, unless `args` say otherwise. */
function commandOf(how: LibcoapOptions, door: Door, path: string, args: readonly string[]): string[] {
  const { host, port } = whereIs(door);
  const uri = `${how.scheme ?? "coap"}://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
  return [peerPath(how.program ?? "coap-client"), "-v", "6", "-B", "10", ...args, uri];
}

/** libcoap's client while it observes; it ends with the test. */
export class LibcoapObserver {
  /** All that it printed so far. */
  text = "";
  readonly #child: ChildProcess;

  constructor(door: Door, path: string, how: LibcoapOptions = {}, ...args: string[]) {
    const [program, ...words] = commandOf(how, door, path, ["-w", "-s", "60", "-B", "60", ...args]);
    this.#child = spawn(program as string, words, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.text += bytes;
      });
    }
  }

  /** Payloads of the responses and notifications, in the order in which they came. */
  get values(): string[] {
    return [...this.text.matchAll(/^v:1 t:\w+ c:2\.05 .*? :: '(.*)'$/gm)].map(([, value]) => value as string);
  }

  /** Waits until the last value it got is this one. */
  async sees(value: string): Promise<void> {
    await eventually(`libcoap sees ${value}`, () => this.values.at(-1) === value);
  }

  /** By SIGINT it ends as by Ctrl-C, by SIGKILL without a word to the gateway. */
  async end(signal: NodeJS.Signals = "SIGINT"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await once(this.#child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

export interface Ask {
  method?: "GET" | "PUT" | "POST" | "DELETE";
  payload?: string | Buffer;
  confirmable?: boolean;
  options?: Record<string, OptionValue>;
}

/** One request of npm's client, from a port of its own. It repeats as RFC 7252 says; no answer at all is an error. */
export async function ask(door: Door, path: string, asked: Ask = {}): Promise<IncomingMessage> {
  const { host, port } = whereIs(door);
  const agent = new Agent({ type: host.includes(":") ? "udp6" : "udp4" });
  const [pathname = "", query] = path.split("?");
  const sent = request({
    hostname: host,
    port,
    pathname,
    agent,
    method: asked.method ?? "GET",
    confirmable: asked.confirmable ?? true,
    ...(query === undefined ? {} : { query }),
    ...(asked.options === undefined ? {} : { options: asked.options }),
  });
  sent.end(asked.payload);
  try {
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return response;
  } finally {
    agent.close();
  }
}
