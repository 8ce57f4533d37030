// README.md's chapters on serial lines as a new user pastes them: configurations, what devices say, and what comes of it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";
import { Shell, type Step } from "../support/shell.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The text below a heading, up to the next one. */
function chapter(heading: string): string {
  const text = README.split(/^#{2,3} /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(text !== undefined, `README.md has "${heading}"`);
  return text;
}

interface Recipe {
  readonly name: string;
  readonly config: string;
  /** What the device says, and what is published behind it. */
  readonly talk: readonly { readonly says: Buffer; readonly published: readonly string[] }[];
}

/** A block of configuration, and behind it one of what is said and published. */
function recipes(): Recipe[] {
  const pairs = chapter("Recipes for devices on serial lines").matchAll(/^```yaml\n(.*?)^```\n```\n(.*?)^```$/gms);
  return [...pairs].map(([, config = "", talk = ""]) => {
    const turns: { says: Buffer; published: string[] }[] = [];
    for (const line of talk.trim().split("\n")) {
      const [, who, what = ""] = /^(device|published): +(.*)$/.exec(line) ?? assert.fail(line);
      if (who === "device") turns.push({ says: bytesOf(what), published: [] });
      else turns.at(-1)?.published.push(what);
    }
    return { name: /name: (\w+)/.exec(config)?.[1] ?? "", config, talk: turns };
  });
}

function bytesOf(text: string): Buffer {
  if (text.startsWith("hex ")) return Buffer.from(text.slice(4).replaceAll(" ", ""), "hex");
  return Buffer.from(text.replaceAll("\\r", "\r").replaceAll("\\n", "\n"));
}

test("README.md: each recipe's device is published as stands there", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cables = new AsyncDisposableStack();
  await using gateway = new GatewayProcess(folder.path, {});
  const lines: string[] = [];
  const spoken: { recipe: Recipe; cable: Cable }[] = [];
  for (const recipe of recipes()) {
    const cable = cables.use(new Cable(folder.path, recipe.name));
    await cable.plug();
    spoken.push({ recipe, cable });
    lines.push(recipe.config.replace(/^serial:\n/, "").replace(/port: .*/, `port: ${cable.port}`));
  }
  assert.ok(spoken.length >= 7, "all of them were found");
  const rest = `data_dir: ${join(folder.path, "data")}\nlisteners: [{type: mqtt, bind: "127.0.0.1:0"}]\n`;
  writeFileSync(gateway.configFile, `${rest}serial:\n${lines.join("")}`);
  await gateway.start();
  await gateway.opened(spoken.length);
  await using client = await MqttCollector.open(gateway.port(), "#");

  for (const { recipe, cable } of spoken) {
    for (const { says, published } of recipe.talk) {
      cable.say(says);
      const messages = await client.take(published.length);
      const said = messages.map(({ topic, payload }) => `${topic} ${payload.replace(/(?<="ms": )\d{13}/, "*")}`);
      assert.deepEqual(said, published, recipe.name);
    }
  }
  assert.equal(await gateway.end(), 0);
  assert.deepEqual(client.messages, []);
});

/** Configurations of a chapter that have serial lines, with the devices they name in place of ours. */
function configurations(heading: string): string[] {
  const blocks = [...chapter(heading).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  const indented = [...chapter(heading).matchAll(/^ {4}serial:\n(?: {6}.*\n)+/gm)].map(([text]) =>
    text.replaceAll(/^ {4}/gm, ""),
  );
  return [...blocks, ...indented].filter((text) => /^serial:/m.test(text));
}

/** What stands in the chapter behind "$ ", and the lines below each. */
function commands(heading: string): Step[] {
  const steps: { command: string; prints: string[] }[] = [];
  for (const [block] of chapter(heading).matchAll(/(?:^ {4}.*\n)+/gm)) {
    for (const line of block.trimEnd().replaceAll(/^ {4}/gm, "").split("\n")) {
      if (line.startsWith("$ ")) steps.push({ command: line.slice(2).replace(/ +#.*$/, ""), prints: [] });
      else steps.at(-1)?.prints.push(line);
    }
  }
  return steps;
}

const CHAPTERS = [
  "Serial lines",
  "Frames on a serial line",
  "What a serial line publishes",
  "Writing to serial lines",
  "CoAP over a serial line",
  "MQTT-SN, for sensors without TCP",
  "Modbus",
  "Configuration",
];

test("README.md: each configuration of its serial chapters starts, and opens its ports", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  let configs = 0;
  for (const text of CHAPTERS.flatMap(configurations)) {
    if (/^uplinks:/m.test(text)) continue; // the listing of all keys: its files would have to be there
    configs++;
    await using cables = new AsyncDisposableStack();
    const plugged: Promise<void>[] = [];
    const config = text.replaceAll(/port: "?(\/dev\/[\w/-]+)"?/g, () => {
      const cable = cables.use(new Cable(folder.path, `c${configs}-${plugged.length}-`));
      plugged.push(cable.plug());
      return `port: ${cable.port}`;
    });
    await Promise.all(plugged);
    assert.ok(plugged.length > 0, text);
    await using gateway = new GatewayProcess(folder.path, {});
    const listeners = /^listeners:/m.test(text) ? "" : "listeners: [{type: mqtt, bind: '127.0.0.1:0'}]\n";
    writeFileSync(gateway.configFile, `data_dir: ${join(folder.path, `data${configs}`)}\n${listeners}${config}`);
    await gateway.start();
    await gateway.opened(plugged.length);
    assert.equal(await gateway.end(), 0);
  }
  assert.ok(configs >= 8, `${configs} configurations`);
});

test("README.md: the first steps with a serial line do what stands there", {
  skip: requirePeer("socat", "mosquitto_sub", "ip") || requireRoot(),
}, async () => {
  using far = new Namespace("s");
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const here = (text: string): string => text.replaceAll("/dev/ttyUSB0", cable.port);
  const [config] = configurations("Serial lines");
  writeFileSync(join(folder.path, "gateway.yaml"), `data_dir: data\n${here(config ?? "")}`);
  await using shell = new Shell(far.command, folder.path);
  const steps = commands("Serial lines").filter(({ command }) => !command.startsWith("sudo ")); // it would change this machine
  const talking = setInterval(() => cable.trySay(Buffer.from("21.5\n")), 20);
  try {
    for (const { command, prints } of steps) {
      const ours = here(command)
        .replace("npm start --", "build/sluice run")
        .replace(/^sluice/, "build/sluice");
      await shell.run({ command: ours.replaceAll("build/sluice", join(ROOT, "build/sluice")), prints });
      if (command.startsWith("npm start")) await shell.waitFor(/^ready /m);
    }
  } finally {
    clearInterval(talking);
  }
  assert.equal(steps.length, 4);
});

test("README.md: sniff prints what stands there", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const [step = { command: "", prints: [] }] = commands("What comes over a serial line");
  assert.ok(step.command.startsWith("sluice serial sniff "));
  const command = step.command
    .replace("sluice", `exec ${join(ROOT, "build/sluice")}`)
    .replaceAll("/dev/ttyUSB0", cable.port);
  const sniff = spawn("bash", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [sniff.stdout, sniff.stderr]) stream.on("data", (text: Buffer) => (printed += text));
  const frames = step.prints.filter((line) => /^\d\d:/.test(line));
  await eventually("it is open", () => printed.includes("is open"));
  for (const frame of frames) {
    const before = printed.split("\n").length;
    cable.say(Buffer.from((/ \d+ {2}((?:[0-9a-f]{2} )+)/.exec(frame)?.[1] ?? "").replaceAll(" ", ""), "hex"));
    await eventually(frame, () => printed.split("\n").length > before);
  }
  const exited = once(sniff, "close");
  sniff.kill("SIGINT");
  await exited;
  const plain = (text: string): string =>
    text
      .replaceAll(/^\d\d:\d\d:\d\d\.\d{3}/gm, "time")
      .replaceAll(/\+\d+\.\d{3}/g, "+time")
      .replace(/ in [\d.]+ s, \d+ a second/, " in a time");
  assert.equal(plain(printed).trimEnd(), plain(step.prints.join("\n")).replaceAll("/dev/ttyUSB0", cable.port));
});

test("README.md: the request over a serial line, and CoAP's bytes, have their answers", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using bus = new Cable(folder.path, "bus-");
  await using node = new Cable(folder.path, "node-");
  await bus.plug();
  await node.plug();
  const text = configurations("Writing to serial lines").find((config) => config.includes("request:")) ?? "";
  const coap = configurations("CoAP over a serial line")[0] ?? "";
  const lines = [text.replace(/port: .*/, `port: ${bus.port}`), coap.replace(/\/dev\/ttyACM0/, node.port)];
  await using gateway = new GatewayProcess(folder.path, {});
  const rest = `data_dir: ${join(folder.path, "data")}\nlisteners: [{type: mqtt, bind: "127.0.0.1:0"}]\n`;
  writeFileSync(gateway.configFile, `${rest}serial:\n${lines.map((line) => line.replace(/^serial:\n/, "")).join("")}`);
  await gateway.start();
  await gateway.opened(2);
  await using client = await MqttCollector.open(gateway.port(), "bus/7/ask/reply");
  await client.client.publishAsync("bus/7/ask", "T", { qos: 1 });
  await eventually("the frame", () => bus.heard === "7?T\n");
  bus.say("OK 21.5\n");
  assert.equal((await client.take(1))[0]?.payload, "OK 21.5");

  await client.client.publishAsync("plant/setpoint", "21", { qos: 1, retain: true });
  const bytes = /^ {4}(c0 {2}.*)$/m.exec(chapter("CoAP over a serial line"))?.[1] ?? "";
  node.say(Buffer.from(bytes.replaceAll(" ", ""), "hex"));
  await eventually("2.05 with the value", () => /^\xc0\xa9.\x45.*21/s.test(node.heard));
  assert.equal(await gateway.end(), 0);
});
