/** How a serial port stands, for people. */
import type { ModbusStatus } from "./modbus-text.ts";
import { printable } from "./printable.ts";

/** The parts of `SerialPortStatus` (transport/serial/serial-port.ts) that are printed. */
export interface SerialStatus {
  readonly name: string;
  readonly port: string;
  readonly device: string | null;
  readonly open: boolean;
  readonly sinceMs: number;
  readonly error: string | null;
  readonly lastError: { readonly words: string; readonly atMs: number } | null;
  readonly opened: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly heldBy: string | null;
  readonly driver: DriverStatus | null;
  readonly baud: number;
  readonly dataBits: number;
  readonly parity: string;
  readonly stopBits: number;
  readonly flow: string;
  readonly rs485: string;
  /** To be written, at QoS 1; null = the line takes none. */
  readonly waiting?: { readonly messages: number; readonly bytes: number } | null;
  /** Of a line that speaks it. */
  readonly modbus?: ModbusStatus;
}

export interface DriverStatus {
  readonly baud: number | null;
  readonly rs485: string | null;
  readonly refused: readonly string[];
  readonly errors: Readonly<Record<string, number>> | null;
}

/** What a person would call them, by their names in the status. */
const ERRORS: readonly (readonly [string, string])[] = [
  ["framing", "framing"],
  ["parity", "parity"],
  ["overrun", "overrun"],
  ["bufferOverrun", "buffer overrun"],
  ["break", "break"],
];

/** Of one port a line, and more where there is more to say. */
export function serialLines(port: SerialStatus): string[] {
  const { name, device, open, error, opened, lastError, bytesRead, bytesWritten, driver } = port;
  const place = device === null || device === port.port ? port.port : `${port.port} (${device})`;
  const settings = isSocket(port.port) ? "" : `, ${settingsText(port)}`;
  const since = time(port.sinceMs);
  const held = port.heldBy === null ? "" : `, held up: ${port.heldBy}`;
  const state = open ? `open since ${since}${held}` : error === null ? "not open yet" : `away since ${since}: ${error}`;
  const lines = [`${name} ${place}${settings}, ${state}`];
  if (opened > 0) lines.push(`${bytesRead} bytes in, ${bytesWritten} out, opened ${opened} times`);
  const { messages = 0, bytes = 0 } = port.waiting ?? {};
  if (messages > 0) lines.push(`${messages} messages of ${bytes} bytes wait to be written`);
  if (open && lastError !== null) lines.push(`away before: ${lastError.words}, at ${time(lastError.atMs)}`);
  if (driver !== null && driver.refused.length > 0) lines.push(`not by the driver: ${driver.refused.join("; ")}`);
  const { errors = null } = driver ?? {};
  const seen = errors === null ? [] : ERRORS.filter(([key]) => (errors[key] ?? 0) > 0);
  if (seen.length > 0) lines.push(`on the wire: ${seen.map(([key, words]) => `${errors?.[key]} ${words}`).join(", ")}`);
  return lines.map(printable);
}

/** "9600 8N1, flow rts-cts"; the baud rate that the driver has set where that is another. */
function settingsText({ baud, dataBits, parity, stopBits, flow, rs485, driver }: SerialStatus): string {
  const real = driver?.baud ?? baud;
  const speed = real === baud ? `${baud}` : `${baud} (${real} set)`;
  const by = driver?.rs485 ?? null;
  const switched = rs485 === "none" ? "" : `, rs485 ${by === null || by === rs485 ? rs485 : `${rs485} (${by})`}`;
  return `${speed} ${dataBits}${parity.charAt(0).toUpperCase()}${stopBits}${flow === "none" ? "" : `, flow ${flow}`}${switched}`;
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}

function isSocket(port: string): boolean {
  return port.startsWith("tcp://") || port.startsWith("unix:");
}
