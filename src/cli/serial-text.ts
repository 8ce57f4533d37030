/** How a serial port stands, for people. */
import type { ModbusStatus } from "./modbus-text.ts";
import { printable } from "./printable.ts";

/** The parts of `SerialPortStatus` (transport/serial-port.ts) that are printed. */
export interface SerialStatus {
  readonly name: string;
  readonly port: string;
  readonly device: string | null;
  readonly open: boolean;
  readonly error: string | null;
  readonly baud: number;
  readonly dataBits: number;
  readonly parity: string;
  readonly stopBits: number;
  readonly flow: string;
  readonly rs485: string;
  /** Of a line that speaks it. */
  readonly modbus?: ModbusStatus;
}

export function serialText(port: SerialStatus): string {
  const { name, device, open, error } = port;
  const place = device === null || device === port.port ? port.port : `${port.port} (${device})`;
  const state = open ? "open" : error === null ? "not open yet" : `away: ${error}`;
  const settings = isSocket(port.port) ? "" : `, ${settingsText(port)}`;
  return printable(`${name} ${place}${settings}, ${state}`);
}

/** "9600 8N1, flow rts-cts". */
function settingsText({ baud, dataBits, parity, stopBits, flow, rs485 }: SerialStatus): string {
  const rest = `${flow === "none" ? "" : `, flow ${flow}`}${rs485 === "none" ? "" : `, rs485 ${rs485}`}`;
  return `${baud} ${dataBits}${parity.charAt(0).toUpperCase()}${stopBits}${rest}`;
}

function isSocket(port: string): boolean {
  return port.startsWith("tcp://") || port.startsWith("unix:");
}
