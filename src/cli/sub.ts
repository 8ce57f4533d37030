/** `sluice sub`: prints what is published, a line per message. */
import { filterProblem } from "../config/topics.ts";
import { FAILED, OK, parse, say, sayError, UsageError, wholeNumber } from "./arguments.ts";
import { CONNECTION_OPTIONS, clientOptions, dialTarget, qosOf } from "./connection-options.ts";
import { MqttConnection, type Received } from "./mqtt-connection.ts";

const COUNT_MAX = 1_000_000_000;
const SECONDS_MAX = 1_000_000;

export async function sub(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      ...CONNECTION_OPTIONS,
      topic: { type: "string", short: "t", multiple: true },
      verbose: { type: "boolean", short: "v", default: false },
      count: { type: "string", short: "C" },
      timeout: { type: "string", short: "W" },
    },
  });
  const filters = values.topic ?? [];
  if (filters.length === 0) throw new UsageError("sub needs -t FILTER");
  for (const filter of filters) {
    const problem = filterProblem(filter);
    if (problem !== null) throw new UsageError(`${JSON.stringify(filter)} is no topic filter: ${problem}`);
  }
  const count = values.count === undefined ? null : wholeNumber("-C", values.count, 1, COUNT_MAX);
  const seconds = values.timeout === undefined ? null : wholeNumber("-W", values.timeout, 1, SECONDS_MAX);
  const qos = qosOf(values.qos);
  const target = dialTarget(values);

  let end: (why: End) => void = () => {};
  const ended = new Promise<End>((resolve) => {
    end = resolve;
  });
  let received = 0;
  const connection = new MqttConnection((message) => {
    if (received === count) return;
    say(values.json ? jsonLine(message) : textLine(message, values.verbose));
    if (++received === count) end("enough");
  });
  const timer = seconds === null ? null : setTimeout(() => end("time is up"), seconds * 1000);
  const onSignal = (): void => end("signal");
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    await connection.open(clientOptions(values), target);
    void connection.closed.then((why) => end({ error: why ?? "closed" }));
    await connection.subscribe(filters, qos);
    const why = await ended;
    if (typeof why === "object") throw new Error(why.error);
    return why === "time is up" && count !== null ? FAILED : OK;
  } catch (error) {
    sayError((error as Error).message);
    return FAILED;
  } finally {
    if (timer !== null) clearTimeout(timer);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    await connection.close();
  }
}

type End = "enough" | "time is up" | "signal" | { error: string };

function textLine({ topic, payload }: Received, verbose: boolean): string {
  return verbose ? `${topic} ${payload}` : payload.toString();
}

/** Payloads that are not UTF-8 are given in base64. */
function jsonLine({ topic, payload, qos, retain }: Received): string {
  const text = payload.toString();
  const isText = Buffer.from(text).equals(payload);
  return JSON.stringify({
    topic,
    qos,
    retain,
    ...(isText ? { payload: text } : { payloadBase64: payload.toString("base64") }),
  });
}
