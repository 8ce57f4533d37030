// A TCP path that a test makes bad while connections run over it:
//
//     gateway ══> BadLink ══> what listens at the target
//
//   slow       delayMs each way, bytesPerSecond each way
//   frozen     nothing passes and nothing is lost: a dead route that comes back. New connections hang in it, too
//   swallowing accepts, takes everything, passes nothing: the other end is gone and nobody said so. A connection that
//              lost bytes this way never works again; it is reset when it sends once more after `restore`
//   refusing   nobody listens
//   cut, reset connections end in order, or with RST; at any byte
//
// Bytes are counted in both directions as they come in.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { eventually } from "./eventually.ts";

/** What one connection carries, as it passes: `up` is from the gateway. */
export interface Tap {
  up(chunk: Buffer): void;
  down(chunk: Buffer): void;
}

type Mode = "passing" | "frozen" | "swallowing";

/** Bytes that wait in one direction until its source is no longer read. */
const WAITING_BYTES_MAX = 256 * 1024;
/** A slow path passes what it may this often. */
const SLICES_PER_SECOND = 50;

export class BadLink {
  /** For connections and bytes from now on. */
  delayMs = 0;
  /** In each direction, for all connections together each their own. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  connections = 0;
  bytesUp = 0;
  bytesDown = 0;
  readonly #targetPort: number;
  readonly #tap: (() => Tap) | null;
  readonly #pairs = new Set<Pair>();
  #server: Server;
  #port = 0;
  #mode: Mode = "passing";
  #upLeft = Number.POSITIVE_INFINITY;
  #onUpSpent: () => void = () => {};

  /** @param tap sees the bytes of each connection that were passed on, or would have been */
  constructor(targetPort: number, tap: (() => Tap) | null = null) {
    this.#targetPort = targetPort;
    this.#tap = tap;
    this.#server = createServer();
  }

  static async open(targetPort: number, tap: (() => Tap) | null = null): Promise<BadLink> {
    const link = new BadLink(targetPort, tap);
    await link.#listen();
    return link;
  }

  get port(): number {
    return this.#port;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Waits until there were so many connections in all. */
  untilConnections(count: number, timeoutMs?: number): Promise<void> {
    return eventually(`${count} connections`, () => this.connections >= count, timeoutMs);
  }

  async #listen(): Promise<void> {
    this.#server = createServer((client) => {
      this.connections++;
      this.#pairs.add(
        new Pair(client, this.#targetPort, this, this.#tap?.() ?? null, (pair) => this.#pairs.delete(pair)),
      );
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  freeze(): void {
    this.#become("frozen");
  }

  swallow(): void {
    this.#become("swallowing");
  }

  #become(mode: Mode): void {
    this.#mode = mode;
    for (const pair of this.#pairs) pair.moved();
  }

  /** Nobody listens any more, and what there is ends. @param how as `cut` or `reset` end it */
  refuse(how: "cut" | "reset" = "cut"): void {
    this.#server.close();
    this[how]();
  }

  /** All is well again: it listens, passes everything at once. */
  async restore(): Promise<void> {
    this.delayMs = 0;
    this.bytesPerSecond = Number.POSITIVE_INFINITY;
    this.#become("passing");
    if (!this.#server.listening) await this.#listen();
  }

  /** Ends all connections in order, both ways. */
  cut(): void {
    for (const pair of this.#pairs) pair.end((socket) => socket.destroy());
  }

  /** Ends all connections with RST. */
  reset(): void {
    for (const pair of this.#pairs) pair.end(resetNow);
  }

  /** Once so many bytes more have gone up, at exactly that byte, `then`. Resolves after it. */
  after(bytes: number, then: () => void): Promise<void> {
    this.#upLeft = bytes;
    return new Promise((resolve) => {
      this.#onUpSpent = () => {
        then();
        resolve();
      };
    });
  }

  cutAfter(bytes: number): Promise<void> {
    return this.after(bytes, () => this.cut());
  }

  /** For the pairs: bytes from the gateway. @returns how many of them may pass before something happens */
  passUp(length: number): number {
    this.bytesUp += length;
    const passing = Math.min(length, this.#upLeft);
    this.#upLeft -= passing;
    return passing;
  }

  /** For the pairs, after they passed on what they may. */
  spent(): void {
    if (this.#upLeft > 0) return;
    this.#upLeft = Number.POSITIVE_INFINITY;
    this.#onUpSpent();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** RST. Node 24 hangs at the end of its process when a socket is reset whose own end is on its way. */
function resetNow(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** The two sockets of one connection. */
class Pair {
  readonly #link: BadLink;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #ways: readonly [Way, Way];
  readonly #onEnd: (pair: Pair) => void;
  /** Bytes were swallowed. */
  #broken = false;

  constructor(client: Socket, targetPort: number, link: BadLink, tap: Tap | null, onEnd: (pair: Pair) => void) {
    this.#link = link;
    this.#client = client;
    this.#onEnd = onEnd;
    this.#server = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    const up = new Way(this.#client, this.#server, link);
    const down = new Way(this.#server, this.#client, link);
    this.#ways = [up, down];
    client.on("data", (chunk: Buffer) => {
      const passing = link.passUp(chunk.length);
      if (this.#swallows()) return;
      const part = chunk.subarray(0, passing);
      tap?.up(part);
      up.take(part);
      link.spent();
      if (passing < chunk.length && !client.destroyed) {
        tap?.up(chunk.subarray(passing));
        up.take(chunk.subarray(passing));
      }
    });
    this.#server.on("data", (chunk: Buffer) => {
      link.bytesDown += chunk.length;
      if (this.#swallows()) return;
      tap?.down(chunk);
      down.take(chunk);
    });
    for (const socket of [client, this.#server]) {
      socket.on("error", () => {}); // "close" follows
      socket.on("close", () => this.#onClose(socket));
    }
  }

  #swallows(): boolean {
    if (this.#link.mode === "swallowing") {
      this.#broken = true;
      return true;
    }
    if (this.#broken) this.end(resetNow);
    return this.#broken;
  }

  moved(): void {
    for (const way of this.#ways) way.move();
  }

  end(how: (socket: Socket) => void): void {
    for (const socket of [this.#client, this.#server]) how(socket);
  }

  /** One side ended: so does the other, with what was on its way before, unless nothing passes. */
  #onClose(socket: Socket): void {
    const other = socket === this.#client ? this.#server : this.#client;
    const way = this.#ways[socket === this.#client ? 0 : 1];
    if (other.destroyed) this.#onEnd(this);
    else way.end();
  }
}

/** One direction. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #link: BadLink;
  readonly #waiting: { chunk: Buffer; dueMs: number }[] = [];
  #waitingBytes = 0;
  #freeMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #blocked = false;
  #ending = false;

  constructor(from: Socket, to: Socket, link: BadLink) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    to.on("drain", () => {
      this.#blocked = false;
      this.move();
    });
    to.on("close", () => {
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#waiting.length = 0;
    });
  }

  take(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#waiting.push({ chunk, dueMs: performance.now() + this.#link.delayMs });
    this.#waitingBytes += chunk.length;
    this.move();
  }

  end(): void {
    this.#ending = true;
    this.move();
  }

  /** Passes on what is due. */
  move(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#link.mode === "passing" && !this.#blocked && !this.#to.destroyed) {
      const first = this.#waiting[0];
      if (first === undefined) break;
      const now = performance.now();
      const waitMs = Math.max(first.dueMs, this.#freeMs) - now;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.move(), waitMs);
        break;
      }
      const rate = this.#link.bytesPerSecond;
      const slice = first.chunk.subarray(0, Math.max(1, Math.ceil(rate / SLICES_PER_SECOND)));
      if (slice.length === first.chunk.length) this.#waiting.shift();
      else first.chunk = first.chunk.subarray(slice.length);
      this.#waitingBytes -= slice.length;
      this.#freeMs = now + (slice.length / rate) * 1000;
      this.#blocked = !this.#to.write(slice);
    }
    if (this.#waitingBytes > WAITING_BYTES_MAX || (this.#link.mode === "frozen" && this.#waitingBytes > 0)) {
      this.#from.pause();
    } else if (this.#from.isPaused()) {
      this.#from.resume();
    }
    if (this.#ending && this.#waiting.length === 0 && this.#link.mode === "passing") this.#to.destroySoon();
  }
}
