// Devices that say as much as a pseudo terminal or a socket takes: noise, frames that never end, nothing but escapes, valid
// frames in a flood. None of them reads. A client beside them is served, and so is a line that does nothing wrong; memory
// and log stay bounded, and what was thrown away is counted by its cause.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { writeCoap } from "../../src/wire/serial/slipmux.ts";
import { Cable } from "../support/cable.ts";
import { Flood } from "../support/flood.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { publish, subscribe } from "../support/mqtt-packets.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";
import { roundTrips } from "../support/round-trips.ts";

const MEASURE_MS = process.env["SLUICE_LONG"] === undefined ? 2500 : 20_000;
/** As fairness.test.ts has it. */
const ROUND_TRIPS_MIN = 15;
const P90_MS_MAX = 250;
/** 62 MB at rest, 20 MB for the protocols that are loaded, and the heap up to the launcher's limit; 81 to 95 MB measured. */
const RSS_BYTES_MAX = 128e6;
/** Said and heard one after the other. */
const HONEST_LINES_MIN = 10;
const LOG_LINES_MAX = 60;
const FLOOD_BYTES = 64 * 1024;

/** The same each time. */
function noise(bytes: number): Buffer {
  let state = 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

const again = (frame: string | Buffer): Buffer => {
  const bytes = Buffer.from(frame as string);
  return Buffer.concat(new Array<Buffer>(Math.ceil(FLOOD_BYTES / bytes.length)).fill(bytes));
};
const hex = (text: string): Buffer => again(Buffer.from(text, "hex"));

/** NON PUT /ps/a, each with a Message ID of its own. */
function coapPuts(): Buffer {
  const out = Buffer.alloc(FLOOD_BYTES);
  let end = 0;
  for (let id = 0; end < FLOOD_BYTES - 64; id++) {
    const message = Buffer.from("500300" + "00b2707301" + "61ff" + "31", "hex");
    message.writeUInt16BE(id, 2);
    end = writeCoap(message, 0, message.length, out, end);
  }
  return out.subarray(0, end);
}

function program(child: ChildProcess): AsyncDisposable {
  const exited = once(child, "exit");
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
    },
  };
}

interface Hostile {
  readonly name: string;
  readonly says: Buffer;
  readonly over?: "pty" | "unix";
  /** The line's keys besides its name and port. */
  readonly line: Record<string, unknown>;
}

interface Case {
  readonly title: string;
  readonly lines: readonly Hostile[];
  /** Have to go up. */
  readonly counters: readonly string[];
}

const many = Array.from({ length: 16 }, (_, i) => ({ topic: `many/${i}/{v}`, fields: { v: { json: "a" } }, qos: 0 }));
const escaped = { type: "start-end", start: "hex:7e", end: "hex:7e", escape: "hex:7d" };

const CASES: readonly Case[] = [
  {
    title: "floods of frames",
    lines: [
      { name: "short", says: again("1\n"), line: {} },
      { name: "socket", says: again("1\n"), over: "unix", line: { publish: { topic: "s", qos: 0 } } },
      { name: "many", says: again('{"a":1}\n'), line: { publish: many } },
      { name: "ignored", says: again("DBG\n"), over: "unix", line: { ignore: "^DBG" } },
      {
        name: "long",
        says: again(`${"a".repeat(8000)}!\n`),
        line: { ignore: "^(a|aa)+$", publish: { qos: 0, format: "hex" } },
      },
      { name: "heavy", says: again(`${"a".repeat(60)}\n`), line: { ignore: `^(?:${"a?".repeat(42)}){16}b` } },
      { name: "asked", says: again("OK\n"), line: { write: { topic: "asked", request: { timeout: "1s" } } } },
      { name: "deaf", says: again("\n"), line: { write: { topic: "deaf", qos: 0 } } },
      { name: "cobs", says: hex("020100"), line: { framing: "cobs", publish: { qos: 2 } } },
    ],
    counters: ["serial.lines_received", "serial.frames_ignored", "serial.requests", "serial.writes_dropped"],
  },
  {
    title: "noise, frames without an end, and escapes",
    lines: [
      { name: "slip", says: noise(FLOOD_BYTES), line: { framing: "slip", check: "crc32", errors: {} } },
      { name: "escapes", says: hex("dbdd"), line: { framing: "slip" } },
      { name: "endless", says: again("x"), line: {} },
      { name: "hdlc", says: hex("7d5e"), line: { framing: escaped, check: "crc16-ccitt" } },
      { name: "length", says: noise(FLOOD_BYTES), line: { framing: "length", check: "crc16-modbus" } },
      {
        name: "search", // each byte may begin a frame of 32 KiB
        says: hex("7f"),
        line: { framing: { type: "length", max_frame: 65_535 }, check: "crc16-modbus" },
      },
      {
        name: "fixed",
        says: noise(FLOOD_BYTES),
        line: { framing: { type: "fixed", bytes: 1024 }, check: "crc16-modbus" },
      },
      { name: "idle", says: noise(FLOOD_BYTES), line: { framing: "idle", check: "sum8" } },
      { name: "json", says: hex("7b0a"), line: { publish: { format: "json" } } },
    ],
    counters: [
      "serial.lines_bad_check",
      "serial.lines_bad_escape",
      "serial.lines_too_long",
      "serial.lines_noise",
      "serial.errors_skipped",
      "serial.mapping_not_json",
    ],
  },
  {
    title: "protocols that are flooded",
    lines: [
      {
        name: "modbus",
        says: noise(FLOOD_BYTES),
        line: {
          protocol: "modbus",
          modbus: { slaves: [{ unit: 1, groups: [{ interval: "10ms", points: [{ name: "a", address: 0 }] }] }] },
        },
      },
      { name: "sn", says: hex("0216"), line: { protocol: "mqtt-sn", mqtt_sn: { framing: "length" } } },
      { name: "sn-connect", says: hex("c007040401000a61c0"), line: { protocol: "mqtt-sn" } },
      { name: "coap", says: coapPuts(), line: { protocol: "coap" } },
      { name: "coap-text", says: hex("c00a61c0"), line: { protocol: "coap", coap: { diagnostics: "text" } } },
    ],
    counters: [
      "modbus.stray_bytes",
      "mqtt_sn.serial_sends_dropped",
      "mqtt_sn.not_connected",
      "slipmux.coap_received",
      "slipmux.diagnostics",
    ],
  },
];

for (const { title, lines, counters } of CASES) {
  test(`beside ${title} others are served, and memory and log are bounded`, {
    skip: requirePeer("socat", "mosquitto_sub"),
    timeout: 90_000,
  }, async (t) => {
    using folder = temporaryFolder();
    await using floods = new AsyncDisposableStack();
    await using cable = new Cable(folder.path, "honest-");
    await cable.plug();
    const serial: Record<string, unknown>[] = [{ name: "honest", port: cable.port }];
    for (const { name, says, over, line } of lines) {
      const flood = floods.use(new Flood(folder.path, name, says, over));
      await flood.start();
      serial.push({ name, port: flood.port, ...line });
    }
    const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], serial };
    await using gateway = new GatewayProcess(folder.path, config, {}, [LAUNCHER]);
    await gateway.start();
    await gateway.opened(serial.length);
    using bystander = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "bystander" });
    bystander.send(subscribe(4, 1, ["bystander", 0]));
    await bystander.next();
    await using honest = await MqttCollector.open(gateway.port(), "serial/honest");
    // Who gets all of it.
    const all = ["-p", `${gateway.port()}`, "-t", "#", "-q", "1"];
    floods.use(program(spawn(peerPath("mosquitto_sub"), all, { stdio: "ignore" })));
    for (let i = 0; i < 1000; i++) bystander.send(publish(4, { topic: "deaf", payload: "x".repeat(1000) }));
    for (let i = 0; i < 10; i++) bystander.send(publish(4, { topic: "asked", payload: "AT" }));
    let times: number[];
    let heard = 0;
    let talking = true;
    const talk = async (): Promise<void> => {
      for (; talking; heard++) {
        cable.say(`${heard}\n`);
        assert.equal((await honest.take(1))[0]?.payload, `${heard}`);
      }
    };
    const talked = talk();
    let rssBytes = 0;
    const watch = setInterval(() => {
      rssBytes = Math.max(rssBytes, memoryOf(gateway.pid).rssBytes);
    }, 100);
    try {
      await roundTrips(bystander, 500);
      times = await roundTrips(bystander, MEASURE_MS);
    } finally {
      talking = false;
      clearInterval(watch);
      await talked;
    }
    const p90 = times[Math.floor(times.length * 0.9)] as number;
    const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
    const status = JSON.parse(stdout) as { counters: Record<string, number> };
    t.diagnostic(
      `${times.length} round trips, ${heard} lines, p90 ${p90.toFixed(1)} ms, p99 ${times[Math.floor(times.length * 0.99)]?.toFixed(1)}, RSS ${(rssBytes / 1e6).toFixed(0)} MB`,
    );
    assert.ok(times.length >= ROUND_TRIPS_MIN, `${times.length} round trips`);
    assert.ok(p90 <= P90_MS_MAX, `9 in 10 of ${times.length} round trips in ${p90.toFixed(1)} ms`);
    assert.ok(rssBytes < RSS_BYTES_MAX, `${rssBytes} B RSS`);
    assert.ok(heard >= HONEST_LINES_MIN, `${heard} lines of the honest device`);
    for (const name of ["serial.turns_cut", ...counters])
      assert.ok((status.counters[name] ?? 0) > 0, `${name} in ${stdout}`);
    assert.ok(gateway.stderr.split("\n").length < LOG_LINES_MAX, gateway.stderr);
  });
}
