/**
 * npm start: the gateway at work, without anything to set up. Sample devices report over MQTT, CoAP, HTTP and a serial
 * line, the gateway forwards to a stand-in cloud over TLS, the cloud is killed in the middle and comes back, and at
 * the end the balance is drawn. Exit code 0 only if nothing that was acknowledged is missing at the cloud.
 *
 *     npm start [-- --keep]        --keep: stay up afterwards, for clients of your own
 */
import { constants } from "node:os";
import { parseArgs } from "node:util";
import { Balance } from "./demo/balance.ts";
import { Fleet } from "./demo/fleet.ts";
import { Journal } from "./demo/journal.ts";
import { balanceTable, bold, count, event, fact, green, kibibytes, progressHead, red, say } from "./demo/screen.ts";
import { Closers, type Stage, setStage } from "./demo/stage.ts";
import { Watch } from "./demo/watch.ts";

const CONNECTED_SECONDS = 4;
const AWAY_SECONDS = 4;
const RETURNED_SECONDS = 4;
/** After the last message: for the devices' last acknowledgements, then for the backlog. */
const ANSWERS_TIMEOUT_MS = 3_000;
const DRAIN_TIMEOUT_MS = 12_000;

const USAGE = "usage: npm start [-- --keep]      or: npm start -- --config FILE\n";

const KEPT_PACE = 0.02;

const closers = new Closers();
let ending = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => void end(128 + constants.signals[signal]));
}
const keep = keepOption();
say(bold("Sluice demo: devices, a gateway, and a cloud that goes away in the middle"));
say();
try {
  const stage = await setStage(closers);
  void stage.gateway.process.exited.then(({ code }) => {
    if (!ending) fail(new Error(`the gateway ended with code ${code}\n${stage.gateway.logTail()}`));
  });
  const balance = new Balance();
  const fleet = new Fleet(stage.devices, balance);
  const isBalanced = await play(stage, fleet, balance);
  if (keep) stay(stage, fleet);
  else await end(isBalanced ? 0 : 1);
} catch (error) {
  fail(error as Error);
}

/** The piece in three acts. True when nothing is missing. */
async function play({ directory, cloud, gateway }: Stage, fleet: Fleet, balance: Balance): Promise<boolean> {
  say();
  progressHead();
  const journal = new Journal(`${directory}/received.log`);
  const watch = new Watch(balance, journal, gateway.writtenBytes, fleet.messagesPerSecond * AWAY_SECONDS);
  closers.add(() => watch.stop());
  fleet.start();
  await watch.seconds(CONNECTED_SECONDS);

  await cloud.kill();
  event("the cloud is killed");
  await watch.seconds(AWAY_SECONDS);

  const waited = balance.missing;
  await cloud.start();
  const returnedAt = performance.now();
  event("the cloud is back and has forgotten its sessions");
  if (await watch.until(() => balance.missing < fleet.messagesPerSecond / 10, DRAIN_TIMEOUT_MS)) {
    event(`${count(waited)} messages had waited; all were there ${seconds(performance.now() - returnedAt)} later`);
  }
  await watch.seconds(RETURNED_SECONDS - (performance.now() - returnedAt) / 1_000);

  await fleet.stop(ANSWERS_TIMEOUT_MS);
  await watch.until(() => balance.missing === 0, DRAIN_TIMEOUT_MS);
  watch.stop();
  return draw(balance, gateway.writtenBytes());
}

/** Prints the balance. True when nothing is missing, and every source had something to miss. */
function draw(balance: Balance, bytes: number): boolean {
  const rows = balance.rows();
  const lost = rows.reduce((sum, row) => sum + row.lost, 0);
  const silent = rows.filter((row) => row.acknowledged === 0 || row.sent === 0);
  say();
  say(balanceTable(rows));
  say();
  const each = `${Math.round(bytes / Math.max(balance.owed, 1))} bytes a message`;
  say(`  ${bytes === 0 ? "Nothing was written to a disk." : `Written to disk: ${kibibytes(bytes)}, ${each}.`}`);
  for (const { source, refused } of silent) say(red(`  ${source} got no acknowledgement, ${refused} refusals.`));
  if (lost > 0) say(red(`  LOST: ${count(lost)} messages that were acknowledged are not at the cloud.`));
  else if (silent.length === 0) say(green("  Nothing that was acknowledged was lost."));
  return lost === 0 && silent.length === 0;
}

/** Goes on quietly and says how to join in. */
function stay({ directory, gateway }: Stage, fleet: Fleet): void {
  const { mqtt, coap, http } = gateway;
  fleet.start(KEPT_PACE);
  say();
  say(bold("The gateway stays up until Ctrl-C. From another terminal:"));
  say();
  fact("watch", `build/sluice sub -p ${mqtt.port} -t 'sensors/#' -v`);
  fact("publish", `build/sluice pub -p ${mqtt.port} -t sensors/mine -q 1 -m 21.5`);
  fact("", `curl -X PUT --data 21.5 http://${http.host}:${http.port}/topics/sensors/mine`);
  fact("", `coap-client -m put -e 21.5 coap://${coap.host}:${coap.port}/ps/sensors/mine`);
  fact("status", `build/sluice status --config ${gateway.configFile}`);
  fact("the cloud", `tail -f ${directory}/received.log`);
}

function keepOption(): boolean {
  try {
    return parseArgs({ options: { keep: { type: "boolean", default: false } } }).values.keep;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function fail(error: Error): void {
  if (ending) return;
  say(red(error.message));
  void end(1);
}

async function end(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  await closers.close();
  process.exit(code);
}
