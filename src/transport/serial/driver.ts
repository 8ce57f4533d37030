/**
 * What the kernel's driver does for a line that is open, beyond what the binding can ask of it: RS-485, mark and space
 * parity, how much has left, what went wrong. By the tty addon; where that is not built, only the lines that need it
 * are refused.
 */
import { getSystemErrorMap } from "node:util";
import type { LineSettings } from "../../config/serial-port.ts";
import type { Rs485Line } from "../../config/serial-rs485.ts";
import {
  COUNTS,
  loadTty,
  PARITIES,
  RS485_WORDS,
  SER_RS485_ENABLED,
  SER_RS485_RTS_AFTER_SEND,
  SER_RS485_RTS_ON_SEND,
  SER_RS485_RX_DURING_TX,
  SER_RS485_TERMINATE_BUS,
  TIOCM_CTS,
  type TtyAddon,
} from "../../native/tty/binding.ts";
import type { BoundPort } from "./binding.ts";
import type { DriverFacts, LineErrors } from "./stream.ts";

/** What of a line the driver has been told. */
export type DriverLine = Omit<DriverFacts, "errors">;

export class SerialDriver {
  readonly #addon: TtyAddon;
  readonly #fd: number;
  readonly #now = new Uint32Array(COUNTS.length);
  /** When it was opened; null = it does not count. */
  readonly #before: Uint32Array | null;

  constructor(addon: TtyAddon, fd: number) {
    this.#addon = addon;
    this.#fd = fd;
    const before = new Uint32Array(COUNTS.length);
    this.#before = addon.counts(fd, before) < 0 ? null : before;
  }

  /** Written, and not yet in the hardware. */
  get outputBytes(): number {
    return Math.max(0, this.#addon.outputBytes(this.#fd));
  }

  discardOutput(): void {
    this.#addon.discardOutput(this.#fd);
  }

  /** Whether the other end lets us send; true where nobody can tell. */
  get clearToSend(): boolean {
    const bits = this.#addon.modemLines(this.#fd);
    return bits < 0 || (bits & TIOCM_CTS) !== 0;
  }

  errors(): LineErrors | null {
    const before = this.#before;
    if (before === null || this.#addon.counts(this.#fd, this.#now) < 0) return null;
    const since = (name: (typeof COUNTS)[number]): number => {
      const at = COUNTS.indexOf(name);
      return ((this.#now[at] as number) - (before[at] as number)) >>> 0;
    };
    return {
      framing: since("framing"),
      parity: since("parity"),
      overrun: since("overrun"),
      bufferOverrun: since("bufferOverrun"),
      break: since("break"),
    };
  }
}

/**
 * Sets what the binding has not.
 * @param addon or the reason why there is none
 * @throws Error whose words say what the driver, or this build, cannot do
 */
export async function setUpLine(
  port: BoundPort,
  settings: LineSettings,
  addon: TtyAddon | string,
): Promise<DriverLine> {
  const hasAddon = typeof addon !== "string";
  if (hasAddon && addon.isExclusive(port.fd) === 1) {
    throw new Error("another program has it open for itself alone (EBUSY)");
  }
  const baud = await setCharacters(port, settings, addon);
  const { by, refused } = setTransmitter(port.fd, settings, addon);
  if (settings.lowLatency) {
    const result = hasAddon ? addon.setLowLatency(port.fd) : addon;
    if (typeof result === "string") refused.push(`low_latency: ${result}`);
    else if (result < 0) refused.push(`low_latency: ${errnoText(result)}`);
  }
  return { baud, rs485: by, refused };
}

/** @returns the baud rate that is really set */
async function setCharacters(
  port: BoundPort,
  settings: LineSettings,
  addon: TtyAddon | string,
): Promise<number | null> {
  const { baud, dataBits, parity, stopBits } = settings;
  if (typeof addon === "string") {
    if (parity === "mark" || parity === "space") throw new Error(`parity ${parity}: ${addon}`);
  } else if (parity !== "none") {
    // Odd and even, too: where another program has set mark or space the binding leaves it so.
    const result = addon.setLine(port.fd, baud, dataBits, PARITIES.indexOf(parity), stopBits === 1 ? 0 : 1);
    if (result < 0) throw new Error(`parity ${parity}: the driver cannot: ${errnoText(result)}`);
    return result;
  }
  return port.getBaudRate().then(
    ({ baudRate }) => baudRate,
    () => null,
  );
}

/** @throws Error when the driver is to switch it, and cannot */
function setTransmitter(
  fd: number,
  { rs485, rs485Line }: LineSettings,
  addon: TtyAddon | string,
): { by: "rts" | "driver" | null; refused: string[] } {
  if (rs485 === "none") return { by: null, refused: [] };
  if (rs485 === "rts") {
    if (typeof addon !== "string") leaveRtsToUs(addon, fd);
    return { by: "rts", refused: [] };
  }
  const left = typeof addon === "string" ? addon : setRs485(addon, fd, rs485Line);
  if (typeof left !== "string") return { by: "driver", refused: left };
  if (rs485 === "driver") throw new Error(`rs485: the driver cannot switch the transmitter: ${left}`);
  return { by: "rts", refused: [`rs485: ${left}`] };
}

/** @returns why not; else what of it the driver leaves out */
function setRs485(addon: TtyAddon, fd: number, line: Rs485Line): string | string[] {
  const words = rs485Words(line);
  const wanted = words[0] as number;
  const result = addon.setRs485(fd, words);
  if (result < 0) return errnoText(result);
  const missing = wanted & ~(words[0] as number);
  if (missing & SER_RS485_ENABLED) return "it leaves it off";
  if (missing & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND)) return "it has RTS the other way round";
  const left: string[] = [];
  if (missing & SER_RS485_RX_DURING_TX) left.push("rs485.rx_during_tx");
  if (missing & SER_RS485_TERMINATE_BUS) left.push("rs485.terminate");
  if (words[1] !== line.delayBeforeMs) left.push(`rs485.delay_before: ${words[1]}ms`);
  if (words[2] !== line.delayAfterMs) left.push(`rs485.delay_after: ${words[2]}ms`);
  return left;
}

/** A driver that was told before, or by the device tree, would switch, too. */
function leaveRtsToUs(addon: TtyAddon, fd: number): void {
  const words = new Uint32Array(RS485_WORDS);
  if (addon.getRs485(fd, words) < 0 || ((words[0] as number) & SER_RS485_ENABLED) === 0) return;
  addon.setRs485(fd, words.fill(0));
}

/** `struct serial_rs485`. */
export function rs485Words({ rtsOnSend, delayBeforeMs, delayAfterMs, rxDuringTx, terminate }: Rs485Line): Uint32Array {
  const words = new Uint32Array(RS485_WORDS);
  words[0] =
    SER_RS485_ENABLED |
    (rtsOnSend ? SER_RS485_RTS_ON_SEND : SER_RS485_RTS_AFTER_SEND) |
    (rxDuringTx ? SER_RS485_RX_DURING_TX : 0) |
    (terminate ? SER_RS485_TERMINATE_BUS : 0);
  words[1] = delayBeforeMs;
  words[2] = delayAfterMs;
  return words;
}

/**
 * What a line gives up where there is no addon, with the keys that ask for it.
 * @param why there is none
 */
export function notesWithoutAddon({ parity, rs485, flow }: LineSettings, why: string): string[] {
  const refused = `this line will not be opened, all others run: ${why}`;
  const notes: string[] = [];
  if (parity === "mark" || parity === "space") notes.push(`parity: ${refused}`);
  if (rs485 === "driver") notes.push(`rs485: ${refused}`);
  if (rs485 === "auto") notes.push(`rs485: the gateway switches by RTS: ${why}`);
  if (flow !== "none") notes.push(`flow: while devices hold up two such lines, none is confirmed what it sent: ${why}`);
  return notes;
}

/** The addon; or why there is none. Loaded at the first call. */
export function ttyAddon(): TtyAddon | string {
  return loadTty();
}

function errnoText(result: number): string {
  const [code, words] = getSystemErrorMap().get(result) ?? [`errno ${-result}`, "unknown"];
  return `${words} (${code})`;
}
