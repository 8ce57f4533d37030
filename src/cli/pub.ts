/** `sluice pub`: publishes a message, or each line of stdin. */
import { createInterface } from "node:readline";
import type { Client, PublishOptions } from "../client/api.ts";
import { connect } from "../client/connect.ts";
import { topicProblem } from "../config/topics.ts";
import { FAILED, OK, parse, say, sayError, UsageError } from "./arguments.ts";
import { CONNECTION_OPTIONS, connectOptions, failureWords, qosOf } from "./connection-options.ts";

/** Lines of stdin that are published and not acknowledged. */
const WINDOW = 64;

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
  const { topic, message } = values;
  if (topic === undefined) throw new UsageError("pub needs -t TOPIC");
  const problem = topicProblem(topic);
  if (problem !== null) throw new UsageError(`the topic ${problem}`);
  const sources = [message !== undefined, values["null-message"], values["stdin-line"]];
  if (sources.filter(Boolean).length !== 1) throw new UsageError("pub needs one of -m MESSAGE, -n and -l");
  const options = { qos: qosOf(values.qos), retain: values.retain };
  const connection = connectOptions(values);
  try {
    const client = await connect(connection);
    try {
      const lines = values["stdin-line"] ? createInterface({ input: process.stdin }) : [message ?? ""];
      const count = await publishEach(client, topic, lines, options);
      if (values.json) say(JSON.stringify({ event: "published", topic, ...options, count }));
    } finally {
      await client.close();
    }
    return OK;
  } catch (error) {
    const reason = failureWords(error as Error, connection);
    if (values.json) say(JSON.stringify({ event: "failed", topic, reason }));
    else sayError(reason);
    return FAILED;
  }
}

/** @returns how many; rejects with the first refusal, after which no more are sent */
async function publishEach(
  client: Client,
  topic: string,
  payloads: AsyncIterable<string> | Iterable<string>,
  options: PublishOptions,
): Promise<number> {
  const underWay = new Set<Promise<void>>();
  let failure: Error | null = null;
  let count = 0;
  for await (const payload of payloads) {
    const one: Promise<void> = client
      .publish(topic, payload, options)
      .then(() => {})
      .catch((error: Error) => {
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
