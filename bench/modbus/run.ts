/**
 * npm run bench -- modbus [--seconds N] [--rounds N] [--json FILE] [--compare FILE]
 *
 * The Modbus master beside npm's modbus-serial: requests a second and CPU for each, of ten registers, with the same slave.
 * How to read it: ../README.md.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import { cpuSeconds } from "../../scripts/kept/proc.ts";
import { type Figure, median } from "../figures.ts";
import { readFlags } from "../flags.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { microseconds, perSecond, table } from "../table.ts";

interface Way {
  readonly name: string;
  readonly framing: "rtu" | "tcp";
  readonly inFlight: number;
}

interface Slave {
  /** Of a terminal, or a TCP port's number. */
  readonly place: string;
  answered(): Promise<number>;
  stop(): Promise<void>;
}

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
}

const WAYS: readonly Way[] = [
  { name: "RTU on a terminal", framing: "rtu", inFlight: 1 },
  { name: "Modbus TCP", framing: "tcp", inFlight: 1 },
  { name: "Modbus TCP, 4 in flight", framing: "tcp", inFlight: 4 },
];
const MASTERS = ["sluice", "modbus-serial"] as const;
/** Each with a group of ten registers that is due every 10 ms: more than there is time for. */
const UNITS = 100;
const REGISTERS = 10;
const WARM_UP_MS = 1000;

const values = readFlags("modbus", {
  seconds: { type: "string", default: "5" },
  rounds: { type: "string", default: "2" },
  ...OUTCOME_OPTIONS,
});
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
const progress = new Progress();
const found = new Map<string, Measured[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const way of WAYS) {
    for (const master of MASTERS) {
      const name = `${way.name}: ${master}`;
      progress.show(`round ${round + 1}, ${name}`);
      found.set(name, [...(found.get(name) ?? []), await measure(way, master)]);
    }
  }
}
progress.clear();
const all = [...found];
publish({
  bench: "modbus",
  options: values,
  method: `reads of ${REGISTERS} registers of ${UNITS} slaves in one process, ${values.rounds} x ${values.seconds} s`,
  text: table([
    ["", "requests", "CPU a request"],
    ...all.map(([name, rounds]) => [
      name,
      perSecond(median(rounds.map((one) => one.perSecond))),
      microseconds(median(rounds.map((one) => one.cpuUs))),
    ]),
  ]),
  figures: all.flatMap(([name, rounds]): Figure[] => [
    { name: `${name}: requests a second`, better: "more", values: rounds.map((one) => one.perSecond) },
    { name: `${name}: us of CPU a request`, better: "less", values: rounds.map(({ cpuUs }) => cpuUs) },
  ]),
});

async function measure(way: Way, master: (typeof MASTERS)[number]): Promise<Measured> {
  const slave = await startSlave(way.framing);
  const asking = await (master === "sluice" ? startGateway(way, slave.place) : startModbusSerial(way, slave.place));
  try {
    await wait(WARM_UP_MS);
    const before = { at: performance.now(), cpu: cpuSeconds(asking.pid), answered: await slave.answered() };
    await wait(1000 * Number(values.seconds));
    const answered = (await slave.answered()) - before.answered;
    const seconds = (performance.now() - before.at) / 1000;
    return { perSecond: answered / seconds, cpuUs: (1e6 * (cpuSeconds(asking.pid) - before.cpu)) / answered };
  } finally {
    await asking.stop();
    await slave.stop();
  }
}

async function startSlave(framing: "rtu" | "tcp"): Promise<Slave> {
  const script = fileURLToPath(new URL("slave.mjs", import.meta.url));
  const slave = await KeptProcess.start(process.execPath, [script, framing]);
  slave.stderr.pipe(process.stderr);
  const ports = await lineOf(slave.stdout, (line) => JSON.parse(line) as { port: number; counterPort: number }, 15_000);
  const answered = (): Promise<number> => countAt(ports.counterPort);
  if (framing === "tcp") return { place: String(ports.port), answered, stop: async () => void (await slave.stop()) };
  const place = `${mkdtempSync(`${directory}/line-`)}/bus`;
  const ends = [`pty,raw,echo=0,link=${place}`, `tcp:127.0.0.1:${ports.port},nodelay`];
  const socat = await KeptProcess.start("socat", ends);
  while (!existsSync(place)) await wait(10);
  const stop = async (): Promise<void> => {
    await socat.stop();
    await slave.stop();
  };
  return { place, answered, stop };
}

function countAt(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = "";
    connect(port, "127.0.0.1")
      .on("error", reject)
      .on("data", (chunk) => {
        text += String(chunk);
      })
      .on("end", () => resolve(Number(text)));
  });
}

interface Asking {
  readonly pid: number;
  stop(): Promise<unknown>;
}

async function startGateway({ framing, inFlight }: Way, place: string): Promise<Asking> {
  const port = framing === "rtu" ? place : `tcp://127.0.0.1:${place}`;
  const points = Array.from({ length: REGISTERS }, (_, address) => ({ address }));
  const slaves = Array.from({ length: UNITS }, (_, i) => ({ unit: i + 1, groups: [{ interval: "10ms", points }] }));
  const modbus = { transport: framing, in_flight: inFlight, qos: 0, slaves };
  const line = { name: "bus", port, baud: 115_200, protocol: "modbus", modbus };
  const config = ["memory_limit: 24MiB", `serial: ${JSON.stringify([line])}`];
  const sluice = await startSluice(mkdtempSync(`${directory}/sluice-`), { config });
  if (sluice?.process == null) throw new Error("there is no build: npm run build");
  const { process } = sluice;
  return { pid: sluice.pid, stop: () => process.stop() };
}

async function startModbusSerial({ framing, inFlight }: Way, place: string): Promise<Asking> {
  const script = fileURLToPath(new URL("modbus-serial-master.mjs", import.meta.url));
  const master = await KeptProcess.start(process.execPath, [script, framing, place, String(UNITS), String(inFlight)]);
  master.stderr.pipe(process.stderr);
  await lineOf(master.stdout, (line) => (line === "ready" ? true : null), 15_000);
  return master;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
