/**
 * One byte stream to one peer, whatever carries it: what conversations (MQTT, later AMQP) see of the transport.
 */
import type { Output } from "./output.ts";

export interface Link {
  /** For logs: "127.0.0.1:5123", "[::1]:5123" or "unix". */
  readonly remote: string;
  /** Without the port; "unix" for a unix socket. */
  readonly remoteAddress: string;
  /** Bytes that the kernel has and the peer has not acknowledged, of links that know; dear (send-queue.ts). */
  sendQueueBytes?(): number;
  /** This end's, "" for a unix socket; absent where nobody asks. */
  readonly localAddress?: string;
  /** Loopback address or unix socket. */
  readonly loopback: boolean;
  /** CN of a verified client certificate; null = none. */
  readonly certificateName: string | null;
  readonly output: Output;
  /** Set by whoever accepted; bytes that arrive before that are not read. */
  handler: LinkHandler;
  /** Stops reading; no effect on a paused link. */
  pause(): void;
  /** Reads on; no effect on a link that is not paused. */
  resume(): void;
  readonly paused: boolean;
  /**
   * The handler has used up its share of this turn: `bytes[from..end)`, the end of what `onData` was given or of what the
   * handler kept of it, come again by `onData` in a later turn, before anything else. Only from within `onData` or after
   * `resume`, and not while there is a rest already.
   * @returns false when nobody has room for it: the handler goes on, and nothing more is read in this turn
   */
  putBack?(bytes: Buffer, from: number, end: number): boolean;
  /** Of links whose transport collects messages before it hands them on: who is told how much that is; null = nobody. */
  held?: HeldBytes | null;
  /** Has `reads` counted, of links over a socket. */
  countReads?(reads: ReadCount): void;
  /** Sends what is in the output, then closes; what arrives meanwhile is not read. Destroys after 2 s. */
  end(): void;
  /** Closes at once; what is in the output is lost. */
  destroy(): void;
}

/** Who wants to know how often bytes come. */
export interface ReadCount {
  /** In this turn of the event loop something came. */
  onRead(): void;
}

/** Answers for bytes that a transport keeps because their message is not whole. */
export interface HeldBytes {
  /** @param bytes that are kept now */
  hold(bytes: number): void;
}

/** None of these is called from within a call that the handler makes into the link or its output. */
export interface LinkHandler {
  /**
   * @param chunk valid until it returns; then its memory is given back, unless some of it was put back
   * @param goesOn the share of the turn is what the chunks before have left of it; a new one when absent
   */
  onData(chunk: Buffer, goesOn?: boolean): void;
  /** Exactly once, last. @param error null after an orderly close by either side, otherwise what happened in words */
  onClose(error: string | null): void;
  /** Everything handed to the socket has been taken by the kernel: at the end of a turn that wrote, or later. */
  onDrain(): void;
}

export type Accept = (link: Link) => void;

/** The handler of a link that nobody has taken yet. */
export const NO_HANDLER: LinkHandler = {
  onData() {},
  onClose() {},
  onDrain() {},
};

/** Bytes that one link may bring in per turn of the event loop when few others do; then the others have theirs. */
export const READ_BUDGET_BYTES = 256 * 1024;
/** And when many do: one full read. */
export const READ_BUDGET_BYTES_MIN = 64 * 1024;

/** Ms that `Link.end` gives the peer to take the rest. */
export const END_DEADLINE_MS = 2000;
