/** `sluice sub`: prints what is published, a line per message. */

import type { Client, ReceivedMessage } from "../client/api.ts";
import { connect } from "../client/connect.ts";
import { filterProblem } from "../config/topics.ts";
import { FAILED, OK, parse, say, sayError, UsageError, wholeNumber } from "./arguments.ts";
import { CONNECTION_OPTIONS, connectOptions, failureWords, qosOf } from "./connection-options.ts";

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
    const problem = filterProblem(filter) ?? sharedProblem(filter);
    if (problem !== null) throw new UsageError(`${JSON.stringify(filter)} is no topic filter: ${problem}`);
  }
  const count = wholeNumber("-C", values.count ?? String(COUNT_MAX), 1, COUNT_MAX);
  const seconds = values.timeout === undefined ? null : wholeNumber("-W", values.timeout, 1, SECONDS_MAX);
  const qos = qosOf(values.qos);
  const connection = connectOptions(values);
  // Whoever reads us may have seen enough: `sluice sub ... | head -1`.
  process.stdout.once("error", () => process.exit(OK));
  const text = values.json ? jsonLine : values.verbose ? verboseLine : payloadLine;
  try {
    const client = await connect(connection);
    const ending = new Ending(client, seconds);
    try {
      await client.subscribe(filters, { qos });
      let received = 0;
      for await (const message of client.messages) {
        say(text(message));
        message.acknowledge(); // Now: the last one has no next that would do it.
        if (++received === count) break;
      }
      return ending.timeIsUp && values.count !== undefined && received < count ? FAILED : OK;
    } finally {
      ending.cancel();
      await client.close();
    }
  } catch (error) {
    sayError(failureWords(error as Error, connection));
    return FAILED;
  }
}

/** [MQTT5-4.8.2-1] What is wrong with a shared subscription's filter, or null. */
function sharedProblem(filter: string): string | null {
  if (!filter.startsWith("$share/") || /^\$share\/[^/+#]+\/./.test(filter)) return null;
  return "a shared subscription is $share/NAME/FILTER";
}

/** What ends a subscription from outside: a signal, or the end of the time given. */
class Ending {
  timeIsUp = false;
  readonly #timer: NodeJS.Timeout | null;
  readonly #end: () => void;

  constructor(client: Client, seconds: number | null) {
    this.#end = () => void client.close();
    process.once("SIGINT", this.#end).once("SIGTERM", this.#end);
    const onTime = (): void => {
      this.timeIsUp = true;
      this.#end();
    };
    this.#timer = seconds === null ? null : setTimeout(onTime, seconds * 1000);
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    process.off("SIGINT", this.#end).off("SIGTERM", this.#end);
  }
}

function payloadLine({ payload }: ReceivedMessage): string {
  return payload.toString();
}

function verboseLine({ topic, payload }: ReceivedMessage): string {
  return `${topic} ${payload}`;
}

/** Payloads that are not UTF-8 are given in base64. */
function jsonLine({ topic, payload, qos, retain }: ReceivedMessage): string {
  const text = payload.toString();
  const isText = Buffer.from(text).equals(payload);
  const content = isText ? { payload: text } : { payloadBase64: payload.toString("base64") };
  return JSON.stringify({ topic, qos, retain, ...content });
}
