// A UDP path that loses, repeats, delays and overtakes, each way as often as the test says:
//
//     clients ──> LossyUdp ══> what listens at the target
//                    │ a socket for each client, so that the target sees each of them as a peer of its own
//
// Each client and way has its own stream of chance, from the seed and the order in which clients came: what happens to
// a client's n-th datagram does not depend on the others'. A datagram that is to be overtaken waits until another of
// its client and way has passed, or for OVERTAKEN_MS_MAX. `fate` decides for single datagrams in place of chance.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { type Random, seededRandom } from "../../src/base/random.ts";

/** Probabilities, 0 to 1, for each datagram; what is lost is neither of the others. */
export interface Weather {
  readonly lose?: number;
  /** It comes twice. */
  readonly duplicate?: number;
  /** It comes up to `delayMs` (default 20) later; others may overtake it. */
  readonly delay?: number;
  readonly delayMs?: number;
  /** The next one comes before it. */
  readonly overtake?: number;
}

/** `up` is from clients to the target. */
export type Way = "up" | "down";
/** "pass" and "lose" are certain; null leaves it to chance. */
export type Fate = "pass" | "lose" | null;

export interface LossyOptions {
  readonly seed?: number;
  readonly up?: Weather;
  readonly down?: Weather;
  /** Of the target and of the proxy's own address; the default is 127.0.0.1. */
  readonly host?: string;
}

export interface Tally {
  came: number;
  passed: number;
  lost: number;
  duplicated: number;
  delayed: number;
  overtaken: number;
}

const OVERTAKEN_MS_MAX = 50;
const DELAY_MS = 20;

export class LossyUdp {
  readonly tally: Readonly<Record<Way, Tally>> = { up: nothing(), down: nothing() };
  /** What is to happen to a datagram, before chance is asked. */
  fate: (datagram: Buffer, way: Way) => Fate = () => null;
  up: Weather;
  down: Weather;
  readonly host: string;
  readonly #targetPort: number;
  readonly #seed: number;
  readonly #front: Socket;
  readonly #clients = new Map<string, Client>();
  #clientCount = 0;

  private constructor(targetPort: number, options: LossyOptions) {
    this.#targetPort = targetPort;
    this.#seed = options.seed ?? 1;
    this.up = options.up ?? {};
    this.down = options.down ?? {};
    this.host = options.host ?? "127.0.0.1";
    this.#front = this.#socket();
    this.#front.on("message", (datagram, { address, port }) => this.#onUp(datagram, address, port));
  }

  static async open(targetPort: number, options: LossyOptions = {}): Promise<LossyUdp> {
    const proxy = new LossyUdp(targetPort, options);
    proxy.#front.bind(0, proxy.host);
    await once(proxy.#front, "listening");
    return proxy;
  }

  get port(): number {
    return this.#front.address().port;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** The same weather both ways. */
  setWeather(weather: Weather): void {
    this.up = weather;
    this.down = weather;
  }

  /** As a NAT that forgot: what clients send from now on comes from other ports, and answers to the old ones are lost. */
  rebind(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  [Symbol.dispose](): void {
    this.rebind();
    this.#front.close();
  }

  #socket(): Socket {
    const socket = createSocket({ type: isIPv6(this.host) ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
    socket.on("error", () => {}); // nobody listens at the target now: it is lost
    return socket;
  }

  #onUp(datagram: Buffer, address: string, port: number): void {
    const key = `${address} ${port}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      const socket = this.#socket();
      const n = this.#clientCount++;
      const chance = (way: number) => seededRandom(Math.imul(this.#seed, 0x9e3779b1) + 2 * n + way);
      const up = new Lane(
        this.tally.up,
        chance(0),
        () => this.up,
        (bytes) => socket.send(bytes, this.#targetPort, this.host, ignore),
      );
      const down = new Lane(
        this.tally.down,
        chance(1),
        () => this.down,
        (bytes) => this.#front.send(bytes, port, address, ignore),
      );
      socket.on("message", (bytes) => down.take(bytes, this.fate(bytes, "down")));
      socket.bind(0, this.host);
      client = new Client(socket, up, down);
      this.#clients.set(key, client);
    }
    client.up.take(datagram, this.fate(datagram, "up"));
  }
}

class Client {
  readonly up: Lane;
  readonly #down: Lane;
  readonly #socket: Socket;

  constructor(socket: Socket, up: Lane, down: Lane) {
    this.#socket = socket;
    this.up = up;
    this.#down = down;
  }

  close(): void {
    this.up.close();
    this.#down.close();
    this.#socket.close();
  }
}

/** One way of one client. */
class Lane {
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #weather: () => Weather;
  readonly #pass: (datagram: Buffer) => void;
  readonly #timers = new Set<NodeJS.Timeout>();
  #overtaken: Buffer | null = null;
  #closed = false;

  constructor(tally: Tally, random: Random, weather: () => Weather, pass: (datagram: Buffer) => void) {
    this.#tally = tally;
    this.#random = random;
    this.#weather = weather;
    this.#pass = pass;
  }

  take(datagram: Buffer, fate: Fate): void {
    const { lose = 0, duplicate = 0, delay = 0, delayMs = DELAY_MS, overtake = 0 } = this.#weather();
    const random = this.#random;
    // Always the same number of draws, so that a datagram's fate depends on its place alone.
    const [loss, second, late, lateness, behind] = [random(), random(), random(), random(), random()];
    const tally = this.#tally;
    tally.came++;
    if (fate === "pass") {
      this.#forward(datagram);
      return;
    }
    if (fate === "lose" || loss < lose) {
      tally.lost++;
      return;
    }
    if (second < duplicate) {
      tally.duplicated++;
      this.#forward(datagram);
    }
    if (late < delay) {
      tally.delayed++;
      this.#later(lateness * delayMs, () => this.#forward(datagram));
    } else if (behind < overtake && this.#overtaken === null) {
      tally.overtaken++;
      this.#overtaken = datagram;
      this.#later(OVERTAKEN_MS_MAX, () => {
        if (this.#overtaken === datagram) this.#release();
      });
    } else {
      this.#forward(datagram);
      this.#release();
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #release(): void {
    const datagram = this.#overtaken;
    this.#overtaken = null;
    if (datagram !== null) this.#forward(datagram);
  }

  #later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  #forward(datagram: Buffer): void {
    if (this.#closed) return;
    this.#tally.passed++;
    this.#pass(datagram);
  }
}

function nothing(): Tally {
  return { came: 0, passed: 0, lost: 0, duplicated: 0, delayed: 0, overtaken: 0 };
}

function ignore(): void {}
