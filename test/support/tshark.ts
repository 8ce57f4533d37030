// Wireshark's dissectors as somebody else's reading of our bytes: each message becomes a UDP datagram of a capture file.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./gateway-process.ts";
import { peerPath } from "./peers.ts";

const PORT = 1884;
/** Link type of packets that begin with their IPv4 header. */
const LINKTYPE_IPV4 = 228;
const UDP = 17;

/** A field as tshark shows it, or several of the same name, or a subtree. */
export type Shown = string | readonly Shown[] | { readonly [name: string]: Shown };

/** @returns what tshark makes of each of `payloads` as a message of `protocol` */
export function dissect(protocol: string, payloads: readonly Buffer[]): Record<string, Shown>[] {
  using folder = temporaryFolder();
  const file = join(folder.path, "messages.pcap");
  writeFileSync(file, capture(payloads));
  // As root it complains that it is; HOME keeps it from reading anybody's preferences.
  const { status, stdout, stderr } = spawnSync(
    peerPath("tshark"),
    ["-r", file, "-d", `udp.port==${PORT},${protocol}`, "-T", "json", "--no-duplicate-keys", "-J", protocol],
    { encoding: "utf8", env: { ...process.env, HOME: folder.path }, maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`tshark: ${stderr}`);
  const packets = JSON.parse(stdout) as { _source: { layers: Record<string, Record<string, Shown>> } }[];
  return packets.map(({ _source }) => _source.layers[protocol] ?? {});
}

/** A capture file in the format of libpcap. */
function capture(payloads: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(LINKTYPE_IPV4, 20);
  return Buffer.concat([header, ...payloads.map(record)]);
}

function record(payload: Buffer): Buffer {
  const length = 28 + payload.length;
  const record = Buffer.alloc(16 + 28);
  record.writeUInt32LE(length, 8);
  record.writeUInt32LE(length, 12);
  record[16] = 0x45;
  record.writeUInt16BE(length, 18);
  record[24] = 64;
  record[25] = UDP;
  record.writeUInt32BE(0x7f000001, 28);
  record.writeUInt32BE(0x7f000001, 32);
  record.writeUInt16BE(PORT, 36);
  record.writeUInt16BE(PORT, 38);
  record.writeUInt16BE(8 + payload.length, 40);
  return Buffer.concat([record, payload]);
}
