/** `serial[].port`, `match` and the settings of the line: where the device is, and how it is spoken to. */
import { basename } from "node:path";
import { addressText, parseBind, UNIX_PATH_BYTES_MAX } from "./bind.ts";
import type { Section } from "./section.ts";
import { type Rs485Settings, readRs485 } from "./serial-rs485.ts";

export type SerialPlace =
  /** A device by its path. */
  | { readonly kind: "device"; readonly path: string }
  | MatchedPlace
  /** A terminal server (ser2net, raw TCP). */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** A USB device by what it says of itself; null = any. */
export interface MatchedPlace {
  readonly kind: "match";
  /** Four hexadecimal digits in lower case, as is `product`. */
  readonly vendor: string | null;
  readonly product: string | null;
  readonly serial: string | null;
  /** Number of the interface, for adapters with several ports. */
  readonly interface: number | null;
}

export interface LineSettings extends Rs485Settings {
  readonly baud: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly parity: "none" | "even" | "odd" | "mark" | "space";
  readonly stopBits: 1 | 1.5 | 2;
  readonly flow: "none" | "rts-cts" | "xon-xoff";
  /** The driver hands on each byte at once, at the cost of more interrupts. */
  readonly lowLatency: boolean;
  /** Of TCP: so long nothing comes before the other end is asked whether it is there. */
  readonly keepAliveMs: number;
}

const BAUD_MIN = 50;
const BAUD_MAX = 4_000_000;
const INTERFACE_MAX = 255;
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE_MS_MIN = 1_000;
const KEEP_ALIVE_MS_MAX = 3_600_000;

/** @returns a place that is not there when none is given, after the complaint */
export function readPlace(section: Section): SerialPlace {
  const nowhere: SerialPlace = { kind: "device", path: "" };
  const text = section.text("port", null);
  const match = section.section("match");
  if (match !== null) {
    if (section.has("port")) section.complain("match", "is given beside port", "keep one of them");
    return readMatch(match);
  }
  if (!section.has("port")) {
    section.complain(
      "port",
      "is missing",
      "give the device, best from /dev/serial/by-id, or tcp://HOST:PORT, or match in its place",
    );
  }
  if (text === null) return nowhere;
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path !== "" && Buffer.byteLength(path) <= UNIX_PATH_BYTES_MAX) return { kind: "unix", path };
    section.complain("port", `${JSON.stringify(text)} names no path of a socket`, "write it like unix:/run/meter.sock");
    return nowhere;
  }
  if (!/^[a-z]+:/i.test(text)) return { kind: "device", path: text };
  const bind = text.startsWith("tcp://") ? parseBind(text.slice("tcp://".length)) : "";
  if (typeof bind !== "string" && bind.unix === null && bind.port !== 0) {
    return { kind: "tcp", host: bind.host, port: bind.port };
  }
  section.complain(
    "port",
    `${JSON.stringify(text)} is no address of a terminal server`,
    "write it like tcp://10.0.0.7:2001",
  );
  return nowhere;
}

function readMatch(match: Section): SerialPlace {
  const place: MatchedPlace = {
    kind: "match",
    vendor: readUsbId(match, "vendor"),
    product: readUsbId(match, "product"),
    serial: readSerialNumber(match),
    interface: match.has("interface") ? match.count("interface", 0, 0, INTERFACE_MAX) : null,
  };
  match.finish();
  if (!["vendor", "product", "serial", "interface"].some((key) => match.has(key))) {
    match.complain("", "matches every device", "give one or more of vendor, product, serial, interface");
  }
  return place;
}

/** Four hexadecimal digits; YAML takes 6001 for a number. */
function readUsbId(section: Section, key: string): string | null {
  if (!section.has(key)) return null;
  const source = section.source(key) ?? "";
  if (/^[0-9a-fA-F]{4}$/.test(source)) return source.toLowerCase();
  section.complain(key, `${JSON.stringify(source)} is no USB id`, 'write four hexadecimal digits, like "0403"');
  return null;
}

/** As the device has it; YAML takes many for a number. */
function readSerialNumber(section: Section): string | null {
  if (!section.has("serial")) return null;
  const source = section.source("serial") ?? "";
  if (source !== "") return source;
  section.complain("serial", "is no serial number", "write it as `sluice serial list` shows it");
  return null;
}

/** Settings that only a device has. */
const DEVICE_KEYS = ["data_bits", "parity", "stop_bits", "flow", "rs485", "low_latency"];

/** Also of a place behind a socket, where the baud rate only says how fast the line behind it is. */
export function readLine(section: Section, place: SerialPlace): LineSettings {
  const behindSocket = place.kind === "tcp" || place.kind === "unix";
  if (behindSocket) {
    for (const key of DEVICE_KEYS) {
      if (section.has(key)) section.complain(key, `means nothing over ${place.kind}`, "set it at the other end");
    }
  }
  if (place.kind !== "tcp" && section.has("keepalive")) {
    section.complain("keepalive", "is TCP's alone", "remove it, or give port as tcp://HOST:PORT");
  }
  const settings: LineSettings = {
    baud: section.count("baud", 115_200, BAUD_MIN, BAUD_MAX),
    dataBits: section.oneOf("data_bits", [5, 6, 7, 8] as const, 8),
    parity: section.oneOf("parity", ["none", "even", "odd", "mark", "space"] as const, "none"),
    stopBits: section.oneOf("stop_bits", [1, 1.5, 2] as const, 1),
    flow: section.oneOf("flow", ["none", "rts-cts", "xon-xoff"] as const, "none"),
    lowLatency: section.flag("low_latency", false),
    keepAliveMs: section.duration("keepalive", KEEP_ALIVE_MS, KEEP_ALIVE_MS_MIN, KEEP_ALIVE_MS_MAX),
    ...readRs485(section),
  };
  if (settings.rs485 !== "none" && settings.flow === "rts-cts") {
    section.complain("rs485", "needs RTS, which flow has", "set flow: none");
  }
  if (settings.stopBits === 1.5 && settings.dataBits !== 5) {
    section.complain("stop_bits", "1.5 goes with five data bits alone", "set data_bits: 5, or stop_bits: 2");
  }
  return settings;
}

/** For logs and complaints: "/dev/ttyUSB0", "usb 0403:6001 serial A1 interface 0", "tcp://10.0.0.7:2001". */
export function placeText(place: SerialPlace): string {
  if (place.kind === "device") return place.path;
  if (place.kind === "unix") return `unix:${place.path}`;
  if (place.kind === "tcp") return `tcp://${addressText(place.host, place.port)}`;
  const serial = place.serial === null ? "" : ` serial ${place.serial}`;
  const number = place.interface === null ? "" : ` interface ${place.interface}`;
  return `usb ${place.vendor ?? "*"}:${place.product ?? "*"}${serial}${number}`;
}

/** What a line is called that has no name. */
export function placeName(place: SerialPlace): string {
  if (place.kind === "tcp") return addressText(place.host, place.port);
  if (place.kind === "match") return place.serial ?? (place.vendor === null ? "serial" : `usb-${place.vendor}`);
  return basename(place.path) || "serial";
}
