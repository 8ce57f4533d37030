/**
 * The types of the tty addon, and how it is loaded: ioctls on the descriptor of a serial line that is open. None waits for
 * the line; a USB adapter is asked over USB, a ms or two. Each answers a number; a negative one is the system's reason why
 * not, an errno negated.
 */
import { type Addon, loadAddon } from "../load.ts";

export interface TtyAddon {
  /**
   * Sets what a character looks like, and throws away what has come so far.
   * @param baud any, not only the usual ones
   * @param parity index into PARITIES
   * @param twoStopBits 1 = two; with five data bits one and a half, as the hardware has it
   * @returns the baud rate that the driver has really set; -EOPNOTSUPP: it has no mark or space parity
   */
  setLine(fd: number, baud: number, dataBits: number, parity: number, twoStopBits: 0 | 1): number;
  /**
   * TIOCSRS485: has the driver switch the transmitter.
   * @param settings RS485_WORDS words as in `struct serial_rs485`; afterwards what the driver has made of them
   */
  setRs485(fd: number, settings: Uint32Array): number;
  /** TIOCGRS485, into `settings`. */
  getRs485(fd: number, settings: Uint32Array): number;
  /** Has the driver hand on each byte at once (ASYNC_LOW_LATENCY). */
  setLowLatency(fd: number): number;
  /** 1: another program has it for itself alone (TIOCEXCL), which root's opening passes by; 0 = not. */
  isExclusive(fd: number): number;
  /** Bytes that have been written and have not left yet, without those in the hardware's own FIFO (TIOCOUTQ). */
  outputBytes(fd: number): number;
  /** Throws them away. */
  discardOutput(fd: number): number;
  /** CTS and others, as bits (TIOCMGET). */
  modemLines(fd: number): number;
  /** What went wrong since the driver was loaded, COUNTS of them (TIOCGICOUNT). */
  counts(fd: number, into: Uint32Array): number;
}

export const PARITIES = ["none", "even", "odd", "mark", "space"] as const;

/** Words of `struct serial_rs485`: flags, delays before and after sending in ms, padding. */
export const RS485_WORDS = 8;
export const SER_RS485_ENABLED = 1;
export const SER_RS485_RTS_ON_SEND = 2;
export const SER_RS485_RTS_AFTER_SEND = 4;
export const SER_RS485_RX_DURING_TX = 16;
export const SER_RS485_TERMINATE_BUS = 32;

export const TIOCM_CTS = 0x20;

/** What `counts` tells, in this order. */
export const COUNTS = ["framing", "parity", "overrun", "break", "bufferOverrun", "received", "sent"] as const;

const ADDON: Addon = { name: "tty", title: "tty", revision: 1 };

let loaded: TtyAddon | string | undefined;

/**
 * Loads the addon that was built for this CPU; the answer is kept.
 * @returns the addon, or the reason why there is none, for a log or a complaint
 */
export function loadTty(): TtyAddon | string {
  loaded ??= loadAddon<TtyAddon>(ADDON);
  return loaded;
}

/** @param folders where `tty-<cpu>.node` may lie */
export function loadTtyFrom(folders: readonly string[]): TtyAddon | string {
  return loadAddon<TtyAddon>(ADDON, folders);
}
