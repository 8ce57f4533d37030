/**
 * While an uplink is connected to another server, looks from time to time whether its primary is back: a second connection
 * as far as TLS and WebSocket go, without CONNECT, as a server throws out whoever has the same client id. A look costs what
 * a TLS handshake does.
 */
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { Dial, Dialing, DialTarget } from "../../transport/dialer.ts";
import type { Link } from "../../transport/link.ts";

/** The wait doubles as often while the primary stands but does not keep us. */
const DOUBLINGS_MAX = 6;

export class ReturnToPrimary implements Expirable {
  readonly #target: DialTarget;
  readonly #everyMs: number;
  readonly #dial: Dial;
  readonly #wheel: TimerWheel;
  readonly #onStanding: () => void;
  readonly #timer = new Timer(this, 0);
  #dialling: Dialing | null = null;
  /** Returns that did not last. */
  #inVain = 0;

  /** @param onStanding the primary can be reached: the connection may move */
  constructor(
    target: DialTarget,
    everyMs: number,
    { dial, wheel }: { dial: Dial; wheel: TimerWheel },
    onStanding: () => void,
  ) {
    this.#target = target;
    this.#everyMs = everyMs;
    this.#dial = dial;
    this.#wheel = wheel;
    this.#onStanding = onStanding;
  }

  /** Connected to another. */
  start(): void {
    this.#wheel.schedule(this.#timer, this.#everyMs * 2 ** Math.min(this.#inVain, DOUBLINGS_MAX));
  }

  stop(): void {
    this.#wheel.cancel(this.#timer);
    this.#dialling?.cancel();
    this.#dialling = null;
  }

  /** The connection to the primary has lasted. */
  succeeded(): void {
    this.#inVain = 0;
  }

  onTimer(): void {
    this.#dialling = this.#dial(this.#target, this.#onLink, this.#onError);
  }

  readonly #onLink = (link: Link): void => {
    this.#dialling = null;
    link.end();
    this.#inVain++;
    this.#onStanding();
  };

  readonly #onError = (): void => {
    this.#dialling = null;
    this.start();
  };
}
