/**
 * One TCP connection on its way up, over a path that may come back at any moment. The kernel asks again after 1, 3, 7 and 15
 * seconds, so a path that is back after 8 would be found 7 seconds later. Beside the patient connection, which is there
 * for links that need seconds for an answer, a second one is begun anew again and again; who stands first is taken.
 *
 *     patient  SYN . SYN . . . SYN . . . . . . . SYN . . . . . . . . . . . . . . . SYN
 *     eager        SYN SYN SYN SYN SYN SYN SYN SYN SYN ──stands──>
 */
import { connect, type IpcNetConnectOpts, type Socket, type TcpNetConnectOpts } from "node:net";

export type ConnectOptions = TcpNetConnectOpts | IpcNetConnectOpts;

/** Exactly one of the last two is called, never from within the constructor; none after `cancel`. */
export interface OpeningEvents {
  /** Another one asks. */
  onAgain(): void;
  /** @param eager it was not the first */
  onOpened(socket: Socket, eager: boolean): void;
  onFailed(error: Error): void;
}

export class TcpOpening {
  readonly patient: Socket;
  readonly #options: ConnectOptions;
  readonly #events: OpeningEvents;
  readonly #again: NodeJS.Timeout | null;
  #eager: Socket | null = null;
  #over = false;

  /** @param againMs how long an eager one lives; null = there is none */
  constructor(options: ConnectOptions, againMs: number | null, events: OpeningEvents) {
    this.#events = events;
    this.#options =
      "autoSelectFamilyAttemptTimeout" in options && againMs !== null
        ? { ...options, autoSelectFamilyAttemptTimeout: Math.max(10, Math.ceil(againMs / 2)) }
        : options;
    this.patient = this.#open(options);
    this.#again = againMs === null ? null : setInterval(() => this.#askAgain(), againMs);
  }

  cancel(): void {
    if (this.#over) return;
    this.#finish();
    this.patient.destroy();
    this.#eager?.destroy();
  }

  #open(options: ConnectOptions): Socket {
    const socket = connect(options);
    socket.once("connect", () => this.#onConnect(socket));
    socket.on("error", (error) => this.#onError(socket, error));
    return socket;
  }

  #askAgain(): void {
    const before = this.#eager;
    this.#eager = this.#open(this.#options);
    before?.destroy();
    this.#events.onAgain();
  }

  #onConnect(socket: Socket): void {
    if (this.#over || (socket !== this.patient && socket !== this.#eager)) return;
    this.#finish();
    const eager = socket !== this.patient;
    (eager ? this.patient : this.#eager)?.destroy();
    socket.removeAllListeners("error");
    this.#events.onOpened(socket, eager);
  }

  /** An answer of either is the server's. */
  #onError(socket: Socket, error: Error): void {
    if (this.#over || (socket !== this.patient && socket !== this.#eager)) return;
    this.cancel();
    this.#events.onFailed(error);
  }

  #finish(): void {
    this.#over = true;
    if (this.#again !== null) clearInterval(this.#again);
  }
}
