/** `connect`: a client with a transport of its own. */
import { SystemClock } from "../base/clock.ts";
import { Counters } from "../base/counters.ts";
import { Log } from "../base/log.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { createDial, type Dial } from "../transport/dialer.ts";
import { Transport } from "../transport/transport.ts";
import type { Client, ConnectOptions } from "./api.ts";
import { connectWith } from "./connect-with.ts";

/** Of the client's own transport: bytes that may wait for its socket. */
const OUTPUT_BYTES = 1024 * 1024;

/**
 * Connects, and stays connected until `close`. Rejects with a ClientError: `invalid-argument`, `unreachable`, `refused`
 * or `aborted`. A file that `tls` names is read with each connection; one that cannot be read is `unreachable`.
 */
export function connect(options: ConnectOptions): Promise<Client> {
  const clock = new SystemClock();
  const wheel = new TimerWheel(clock);
  wheel.start();
  const parts = { wheel, dial: ownDial(wheel, clock), time: clock, random: Math.random };
  return connectWith(options, parts, () => wheel.stop());
}

function ownDial(wheel: TimerWheel, clock: SystemClock): Dial {
  const log = new Log({ level: "error", format: "text", write: () => {} });
  // It accepts nobody: these are the least there can be.
  const admission = { maxConnections: 1, connectionsPerAddress: 1, connectTimeoutMs: 1000, handshakesPerSecond: 1 };
  const limits = { ...admission, outputBytes: OUTPUT_BYTES };
  return createDial(new Transport(limits, { clock, wheel, counters: new Counters(), log }));
}
