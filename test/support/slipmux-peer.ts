// The device's side of a slipmux line by hand: SLIP and the FCS written anew from RFC 1055 and RFC 1662; and a door
// through which any CoAP client that speaks UDP is the device (slipmux_bridge.py).
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Cable } from "./cable.ts";
import { RawCoap, type RawOptions, type Wire } from "./raw-coap.ts";

const POLL_MS = 3;

/** RFC 1662 C.2, a bit at a time; as it is sent. */
function fcsOf(bytes: Buffer): Buffer {
  let fcs = 0xffff;
  for (const byte of bytes) {
    fcs ^= byte;
    for (let bit = 0; bit < 8; bit++) fcs = fcs & 1 ? (fcs >> 1) ^ 0x8408 : fcs >> 1;
  }
  const out = Buffer.alloc(2);
  out.writeUInt16LE(fcs ^ 0xffff);
  return out;
}

export function slip(content: Buffer): Buffer {
  const out = [0xc0];
  for (const byte of content) {
    if (byte === 0xc0) out.push(0xdb, 0xdc);
    else if (byte === 0xdb) out.push(0xdb, 0xdd);
    else out.push(byte);
  }
  return Buffer.from([...out, 0xc0]);
}

/** The frame of a CoAP message. */
export function coapFrame(message: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from([0xa9]), message]);
  return slip(Buffer.concat([content, fcsOf(content)]));
}

/** The CoAP message in what lay between two ENDs. Throws when it is none. */
function messageOf(content: Buffer): Buffer {
  const bytes = [];
  for (let i = 0; i < content.length; i++) {
    if (content[i] === 0xdb) bytes.push(content[++i] === 0xdc ? 0xc0 : 0xdb);
    else bytes.push(content[i] as number);
  }
  const frame = Buffer.from(bytes);
  const whole = frame.subarray(0, -2);
  if (frame[0] !== 0xa9 || !fcsOf(whole).equals(frame.subarray(-2)))
    throw new Error(`no CoAP: ${frame.toString("hex")}`);
  return whole.subarray(1);
}

/** A CoAP client at the device's end of `cable`. */
export function coapOver(cable: Cable, options: RawOptions = {}): RawCoap {
  return RawCoap.over((onDatagram): Wire => {
    let partial = Buffer.alloc(0);
    const polling = setInterval(() => {
      partial = Buffer.concat([partial, cable.hear()]);
      for (let end = partial.indexOf(0xc0); end >= 0; end = partial.indexOf(0xc0)) {
        const content = partial.subarray(0, end);
        partial = partial.subarray(end + 1);
        if (content.length > 0) onDatagram(messageOf(content));
      }
    }, POLL_MS);
    return { send: (bytes) => cable.say(coapFrame(bytes)), close: () => clearInterval(polling) };
  }, options);
}

/** A UDP port on 127.0.0.1; what a client sends there the device says, and what the device hears the client gets. */
export class SlipmuxBridge implements AsyncDisposable {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async open(cable: Cable, framing: "slipmux" | "slip" = "slipmux"): Promise<SlipmuxBridge> {
    const words = [join(import.meta.dirname, "slipmux_bridge.py"), cable.deviceEnd, framing];
    const child = spawn("python3", words, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    return new SlipmuxBridge(child, Number(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill();
    await once(this.#child, "exit");
  }
}
