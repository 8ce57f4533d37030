// Two ends of the DTLS addon with a wire between them that the test holds in its hand.
import {
  type ConnectOptions,
  DATA,
  type DtlsAddon,
  type DtlsContext,
  type DtlsOptions,
  type DtlsSession,
  loadDtls,
  loadDtlsFrom,
  OUTPUT,
  RECORD_BYTES_MAX,
} from "../../src/native/dtls/binding.ts";
import { requireThat, type Skip } from "./peers.ts";

/** SLUICE_DTLS_ADDON: a folder with another build of the addon, as the checked one. */
const folder = process.env["SLUICE_DTLS_ADDON"];
// AddressSanitizer looks at this process, not at the programs that it starts.
if (folder !== undefined) delete process.env["LD_PRELOAD"];
const loaded = folder === undefined ? loadDtls() : loadDtlsFrom([folder], process.arch);

/** For a test that weighs memory: AddressSanitizer keeps what was freed. */
export const weighs: Skip = folder !== undefined && "AddressSanitizer keeps what was freed";

/** For a test's `skip`. */
export function requireAddon(): Skip {
  return requireThat(typeof loaded !== "string", typeof loaded === "string" ? loaded : "");
}

export function addon(): DtlsAddon {
  if (typeof loaded === "string") throw new Error(loaded);
  return loaded;
}

export function server(options: Omit<DtlsOptions, "role">): DtlsContext {
  return new (addon().DtlsContext)({ role: "server", ...options });
}

export function client(options: Omit<DtlsOptions, "role">): DtlsContext {
  return new (addon().DtlsContext)({ role: "client", ...options });
}

export type Side = "client" | "server";

/** What becomes of a datagram: those that arrive instead. `count` = how many went to this side before. */
export type Wire = (datagram: Uint8Array, to: Side, count: number) => readonly Uint8Array[];

const PEER = Buffer.from("127.0.0.1:5684");
const into = Buffer.alloc(RECORD_BYTES_MAX);

export class DtlsPair {
  readonly client: DtlsSession;
  session: DtlsSession | null = null;
  /** All bits that each side has answered. */
  readonly bits = { client: 0, server: 0 };
  /** All content that each side has received. */
  readonly received: { client: string[]; server: string[] } = { client: [], server: [] };
  /** All datagrams that were sent to each side, whatever became of them. */
  readonly sent: { client: Uint8Array[]; server: Uint8Array[] } = { client: [], server: [] };
  wire: Wire = (datagram) => [datagram];
  readonly #context: DtlsContext;
  readonly #peer: Uint8Array;

  constructor(context: DtlsContext, from: DtlsContext, options: ConnectOptions = {}, peer: Uint8Array = PEER) {
    this.#context = context;
    this.#peer = peer;
    this.client = from.connect(options);
  }

  /** Moves datagrams until none is left. */
  settle(): this {
    for (let moved = true; moved; ) {
      moved = this.#move(this.client, "server");
      if (this.session !== null) moved = this.#move(this.session, "client") || moved;
    }
    return this;
  }

  /** Waits for the next timer of either side, lets it run out, and moves what comes of it. @returns false: there is none */
  async tick(): Promise<boolean> {
    const sides = [this.client, this.session].filter((side) => side !== null);
    const due = sides.map((side) => side.timeoutMs()).filter((ms) => ms >= 0);
    if (due.length === 0) return false;
    await new Promise((done) => setTimeout(done, Math.min(...due) + 1));
    for (const side of sides)
      if (side.timeoutMs() === 0) this.#note(side === this.client ? "client" : "server", side.onTimeout());
    this.settle();
    return true;
  }

  send(from: Side, text: string): number {
    const side = from === "client" ? this.client : this.session!;
    const bytes = Buffer.from(text);
    const bits = side.send(bytes, 0, bytes.length);
    this.settle();
    return bits;
  }

  /** Gives a datagram to one side, as if the network had. */
  deliver(datagram: Uint8Array, to: Side): void {
    const side = to === "client" ? this.client : this.session;
    if (side === null) this.#hello(datagram);
    else this.#receive(side, to, datagram);
  }

  #hello(datagram: Uint8Array): void {
    const answer = this.#context.hello(datagram, this.#peer);
    if (answer instanceof Uint8Array) this.#pass(answer, "client");
    else this.session = answer;
  }

  free(): void {
    this.client.free();
    this.session?.free();
  }

  #move(side: DtlsSession, to: Side): boolean {
    let moved = false;
    for (let datagram = side.takeOutput(); datagram !== null; datagram = side.takeOutput()) {
      this.#pass(datagram, to);
      moved = true;
    }
    return moved;
  }

  #pass(datagram: Uint8Array, to: Side): void {
    this.sent[to].push(datagram);
    for (const arrived of this.wire(datagram, to, this.sent[to].length - 1)) this.deliver(arrived, to);
  }

  #receive(side: DtlsSession, name: Side, datagram: Uint8Array): void {
    const bits = side.receive(datagram);
    this.#note(name, bits);
    if ((bits & DATA) === 0) return;
    let count = side.read(into);
    for (; count > 0; count = side.read(into)) this.received[name].push(into.toString("latin1", 0, count));
    this.#note(name, -count);
  }

  #note(name: Side, bits: number): void {
    this.bits[name] |= bits & ~OUTPUT;
  }
}
