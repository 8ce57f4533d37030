/**
 * What the connections to one peer cost on a link that is paid by the byte: all of them, those that failed included.
 *
 * Node tells the bytes of a TCP connection, so handshakes, encryption and WebSocket frames are counted as they are. What
 * it does not tell is estimated: the headers of TCP and IP, from the number of reads and writes, and the packets that
 * carry nothing but those. Not counted are packets that were sent twice because the first was lost, and what a modem adds.
 * Beside the kernel's own counters, with Mosquitto as the server, the sum was 0.92 to 1.05 of theirs: handshakes 0.98 to 1.05,
 * pings 0.99, a message now and then 1.00, four at a time 0.92, a bulk of them 0.94 to 1.00.
 */
import type { Socket } from "node:net";
import type { Link, ReadCount } from "./link.ts";

/** IPv4 20, TCP 20, timestamps 12; and what IPv6 has more. */
const HEADER_BYTES = 52;
const IPV6_BYTES = 20;
/** The options of a SYN. */
const SYN_BYTES = HEADER_BYTES + 8;
/** What a segment carries at most, on most links. */
const SEGMENT_BYTES = 1400;
/** FIN, and the ACK of the other one. */
const CLOSING_SEGMENTS = 2;
/** Of TLS, or of another handshake: flights that are no full segments. */
const HANDSHAKE_SEGMENTS = 4;
/** How long the kernel waits for something to send an acknowledgement with. */
const DELAYED_ACK_MS = 40;
/** A question for a name and its answer, once for each family of addresses. */
const QUESTION_BYTES = 2 * 75;
const ANSWER_BYTES = 2 * 120;

/** What one connection cost so far. */
interface Cost {
  readonly sent: number;
  readonly received: number;
}

export class Traffic {
  /** Of connections that are over. */
  #sent = 0;
  #received = 0;
  /** One, or two while another server is tried. */
  readonly #open = new Map<Socket, Connection>();

  /** A name is looked up. */
  lookedUp(): void {
    this.#sent += QUESTION_BYTES;
    this.#received += ANSWER_BYTES;
  }

  /** Another connection is asked for beside one that is opened, and not answered yet. */
  askedAgain(): void {
    this.#sent += SYN_BYTES + IPV6_BYTES;
  }

  /** A connection begins. @param connected it stands already */
  opened(socket: Socket, connected = false): void {
    const connection = new Connection(socket, connected);
    this.#open.set(socket, connection);
    socket.once("close", () => {
      this.#open.delete(socket);
      const { sent, received } = connection.cost();
      this.#sent += sent;
      this.#received += received;
    });
  }

  /** The connection over `socket` carries this link. */
  linked(socket: Socket, link: Link): void {
    this.#open.get(socket)?.linked(link);
  }

  /** Bytes sent since the start. */
  get sent(): number {
    let sum = this.#sent;
    for (const connection of this.#open.values()) sum += connection.cost().sent;
    return sum;
  }

  /** Bytes received since the start. */
  get received(): number {
    let sum = this.#received;
    for (const connection of this.#open.values()) sum += connection.cost().received;
    return sum;
  }
}

class Connection implements ReadCount {
  readonly #socket: Socket;
  readonly #openedMs = performance.now();
  /** 0 = the server has not answered. */
  #answeredMs = 0;
  #ipBytes = 0;
  #link: Link | null = null;
  /** Turns of the event loop in which something came. */
  #reads = 0;
  /** Acknowledgements that went out by themselves, as nothing else did in time. */
  #bareOut = 0;
  #bareMs = Number.NEGATIVE_INFINITY;
  /** 1 when bytes went both ways before there was a link. */
  #handshakes = 0;

  constructor(socket: Socket, connected: boolean) {
    this.#socket = socket;
    if (connected) this.#answered();
    else socket.once("connect", () => this.#answered());
  }

  #answered(): void {
    this.#answeredMs = performance.now();
    if (this.#socket.remoteFamily === "IPv6") this.#ipBytes = IPV6_BYTES;
  }

  linked(link: Link): void {
    this.#link = link;
    if (this.#socket.bytesRead > 0) this.#handshakes++;
    link.countReads?.(this);
  }

  onRead(): void {
    this.#reads++;
    const nowMs = performance.now();
    if (nowMs - this.#bareMs < DELAYED_ACK_MS) return;
    this.#bareMs = nowMs;
    this.#bareOut++;
  }

  cost(): Cost {
    const { bytesRead, bytesWritten } = this.#socket;
    const header = HEADER_BYTES + this.#ipBytes;
    const syn = SYN_BYTES + this.#ipBytes;
    const answered = this.#answeredMs > 0;
    const unansweredMs = (answered ? this.#answeredMs : performance.now()) - this.#openedMs;
    // Sent again after 1, 2, 4 .. s.
    const syns = syn * (1 + Math.floor(Math.log2(1 + unansweredMs / 1000)));
    if (!answered) return { sent: syns, received: 0 };
    const segmentsOut = Math.max(Math.ceil(bytesWritten / SEGMENT_BYTES), this.#link?.output.writes ?? 0);
    const segmentsIn = Math.max(Math.ceil(bytesRead / SEGMENT_BYTES), this.#reads);
    // The server says of every second packet that it came, unless it answers.
    const bareIn = Math.max(0, Math.ceil((segmentsOut - segmentsIn) / 2));
    const around = CLOSING_SEGMENTS + HANDSHAKE_SEGMENTS * this.#handshakes;
    return {
      sent: bytesWritten + syns + header * (segmentsOut + this.#bareOut + around),
      received: bytesRead + syn + header * (segmentsIn + bareIn + around),
    };
  }
}
