/**
 * The password of an uplink: its file is read before each connect. When it is a token, the file is read again some time
 * before that expires, and as soon as it holds a later one the connection is made anew with that. While it does not, the
 * connection goes on: the server says when it has had enough.
 *
 * A wall clock that is not set decides nothing, and one that jumps is looked at once a minute.
 */
import { close, open, read } from "node:fs";
import type { Log } from "../../base/log.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { TimeSource } from "../../core/ports.ts";
import { describeError } from "../../transport/socket-error.ts";
import { expiryOf } from "./token.ts";
import { withoutLineEnd } from "./uplink-connection.ts";

/** MQTT has two bytes for the length of a password; the end of the line comes on top. */
const FILE_BYTES_MAX = 65_535 + 2;
const PIECE_BYTES = 4096;
/** Longest time between two looks at the clock. */
const LOOK_MS = 60_000;
/** Between two looks into a file that should hold a later token by now. */
export const RENEW_RETRY_MS = 30_000;

export interface CredentialsParts {
  readonly log: Log;
  readonly wheel: TimerWheel;
  readonly time: TimeSource;
  /** Whether the wall clock is right, as far as is known. */
  readonly isClockSet: () => boolean;
}

type Config = Pick<UplinkConfig, "name" | "passwordFile" | "renewBeforeMs">;

export class Credentials implements Expirable {
  /** Unix ms at which the token in use expires; null = it is none, or never does. */
  expiresAtMs: number | null = null;
  readonly #config: Config;
  readonly #parts: CredentialsParts;
  readonly #onRenewed: () => void;
  readonly #timer = new Timer(this, 0);
  #inUse: Buffer | null = null;
  /** How long before its end the token is to be replaced. */
  #leadMs = 0;
  #connected = false;
  /** That it is time for another token was said. */
  #told = false;

  /** @param onRenewed a later token is in the file: the connection is to be made anew */
  constructor(config: Config, parts: CredentialsParts, onRenewed: () => void) {
    this.#config = config;
    this.#parts = parts;
    this.#onRenewed = onRenewed;
  }

  /** Before each connect. Without a file `done` is called at once. @param done  with words when it cannot be read */
  read(done: (problem: string | null, password: Buffer | null) => void): void {
    const { passwordFile } = this.#config;
    if (passwordFile === null) {
      done(null, null);
      return;
    }
    readPassword(passwordFile, (problem, password) => {
      if (password !== null) this.#use(password);
      done(problem, password);
    });
  }

  #use(password: Buffer): void {
    const renewed = this.#inUse === null || !this.#inUse.equals(password);
    this.#inUse = password;
    this.expiresAtMs = expiryOf(password);
    if (renewed) this.#told = false;
    if (this.expiresAtMs === null) return;
    // A token that lives shorter than the time ahead of its end has half of its life.
    const leftMs = Math.max(0, this.expiresAtMs - this.#parts.time.wallMs());
    this.#leadMs = Math.min(this.#config.renewBeforeMs, leftMs / 2);
  }

  connected(): void {
    this.#connected = true;
    if (this.expiresAtMs !== null) this.#schedule();
  }

  disconnected(): void {
    this.#connected = false;
    this.#parts.wheel.cancel(this.#timer);
  }

  /** For the words of a failure: "the token in password_file expired on 2026-11-21 17:00 UTC"; null = it has not. */
  get expiredWords(): string | null {
    const { time, isClockSet } = this.#parts;
    if (this.expiresAtMs === null || !isClockSet() || this.expiresAtMs > time.wallMs()) return null;
    return `the token in password_file expired on ${minuteOf(this.expiresAtMs)}`;
  }

  onTimer(): void {
    const { isClockSet } = this.#parts;
    const { passwordFile } = this.#config;
    if (passwordFile === null || !isClockSet() || this.#dueInMs > 0) {
      this.#schedule();
      return;
    }
    readPassword(passwordFile, (problem, password) => {
      if (!this.#connected) return;
      if (password !== null && this.#isLater(password)) this.#onRenewed();
      else this.#onSame(problem);
    });
  }

  get #dueInMs(): number {
    return (this.expiresAtMs ?? 0) - this.#leadMs - this.#parts.time.wallMs();
  }

  #isLater(password: Buffer): boolean {
    const expiresAtMs = expiryOf(password);
    if (this.#inUse?.equals(password)) return false;
    return expiresAtMs === null || expiresAtMs > (this.expiresAtMs ?? 0);
  }

  /** Nobody has put a later one there yet. */
  #onSame(problem: string | null): void {
    const { log, wheel } = this.#parts;
    if (!this.#told) {
      const expires = minuteOf(this.expiresAtMs ?? 0);
      const reason = problem ?? "password_file holds no later one";
      log.warn("uplink-token-expires", { uplink: this.#config.name, expires, reason });
      this.#told = true;
    }
    wheel.schedule(this.#timer, RENEW_RETRY_MS);
  }

  #schedule(): void {
    const dueMs = this.#parts.isClockSet() ? Math.max(0, this.#dueInMs) : LOOK_MS;
    this.#parts.wheel.schedule(this.#timer, Math.min(dueMs, LOOK_MS));
  }
}

function minuteOf(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function readPassword(path: string, done: (problem: string | null, password: Buffer | null) => void): void {
  const failed = (error: Error): void => done(`password_file ${path}: ${describeError(error)}`, null);
  open(path, "r", (error, fd) => {
    if (error !== null) {
      failed(error);
      return;
    }
    // Not `readFile`: whatever is there is not to be in memory as a whole. Most are shorter than the first piece.
    readUpTo(fd, Buffer.allocUnsafeSlow(PIECE_BYTES), 0, (readError, bytes) => {
      close(fd, () => {});
      if (readError !== null) failed(readError);
      else if (bytes.length > FILE_BYTES_MAX) done(`password_file ${path}: is longer than 65,535 bytes`, null);
      else done(null, withoutLineEnd(Buffer.from(bytes)));
    });
  });
}

/** What is in the file, at most a byte more than FILE_BYTES_MAX. */
function readUpTo(fd: number, into: Buffer, length: number, done: (error: Error | null, bytes: Buffer) => void): void {
  read(fd, into, length, into.length - length, length, (error, count) => {
    const end = length + count;
    if (error !== null || count === 0 || end > FILE_BYTES_MAX) done(error, into.subarray(0, end));
    else if (end < into.length) readUpTo(fd, into, end, done);
    else readUpTo(fd, Buffer.concat([into], FILE_BYTES_MAX + 1), end, done);
  });
}
