/** `sluice pub`: publishes a message, or each line of stdin. */
import { createInterface } from "node:readline";
import { topicProblem } from "../config/topics.ts";
import { FAILED, OK, parse, say, sayError, UsageError } from "./arguments.ts";
import { CONNECTION_OPTIONS, clientOptions, dialTarget, qosOf } from "./connection-options.ts";
import { MqttConnection } from "./mqtt-connection.ts";

/** Lines of stdin that are published and not acknowledged. */
const WINDOW = 20;

export async function pub(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      ...CONNECTION_OPTIONS,
      topic: { type: "string", short: "t" },
      message: { type: "string", short: "m" },
      "null-message": { type: "boolean", short: "n", default: false },
      "stdin-line": { type: "boolean", short: "l", default: false },
      retain: { type: "boolean", short: "r", default: false },
    },
  });
  const { topic, retain, json } = values;
  if (topic === undefined) throw new UsageError("pub needs -t TOPIC");
  const problem = topicProblem(topic);
  if (problem !== null) throw new UsageError(`the topic ${problem}`);
  const sources = [values.message !== undefined, values["null-message"], values["stdin-line"]];
  if (sources.filter(Boolean).length !== 1) throw new UsageError("pub needs one of -m MESSAGE, -n and -l");
  const qos = qosOf(values.qos);
  const target = dialTarget(values);
  const connection = new MqttConnection();
  try {
    await connection.open(clientOptions(values), target);
    let count = 0;
    if (values["stdin-line"]) count = await publishLines(connection, topic, qos, retain);
    else {
      await connection.publish(topic, Buffer.from(values.message ?? ""), qos, retain);
      count = 1;
    }
    await connection.close();
    if (json) say(JSON.stringify({ event: "published", topic, qos, retain, count }));
    return OK;
  } catch (error) {
    if (json) say(JSON.stringify({ event: "failed", topic, reason: (error as Error).message }));
    else sayError((error as Error).message);
    return FAILED;
  } finally {
    await connection.close();
  }
}

async function publishLines(connection: MqttConnection, topic: string, qos: number, retain: boolean): Promise<number> {
  const underWay = new Set<Promise<void>>();
  let failure: unknown = null;
  let count = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const one: Promise<void> = connection
      .publish(topic, Buffer.from(line), qos, retain)
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => underWay.delete(one));
    underWay.add(one);
    count++;
    if (underWay.size >= WINDOW) await Promise.race(underWay);
    if (failure !== null) break;
  }
  await Promise.all(underWay);
  if (failure !== null) throw failure;
  return count;
}
