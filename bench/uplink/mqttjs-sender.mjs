/**
 * A program that keeps its messages in an array while the broker is away and sends them with MQTT.js, as people write
 * it: each PUBACK lets the next message go.
 *
 *     node mqttjs-sender.mjs URL TOPICS PAYLOAD_BYTES WINDOW [CA_FILE]
 *
 * A line on standard input, `MESSAGES`, makes it fill the array and connect; it says `filled`, and `done` when all is
 * acknowledged. `TOPICS` is the prefix of three: the first message, the backlog and the last message have their own.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const [url, topics, payloadBytes, window, ca] = process.argv.slice(2);
const connectOptions = { clientId: "mqttjs-sender", clean: false, reconnectPeriod: 100 };
if (ca !== undefined) connectOptions.ca = readFileSync(ca);

let client = null;
for await (const line of createInterface({ input: process.stdin })) {
  if (client !== null) await client.endAsync(true);
  const waiting = fill(Number(line));
  console.log("filled");
  client = mqtt.connect(url, connectOptions);
  client.on("error", () => {}); // not there yet: it tries again
  await new Promise((resolve) => client.once("connect", resolve));
  await send(client, waiting);
  console.log("done");
}

function fill(messages) {
  const waiting = [{ topic: `${topics}/first`, payload: Buffer.alloc(Number(payloadBytes)) }];
  for (let i = 0; i < messages; i++) {
    const payload = Buffer.alloc(Number(payloadBytes));
    payload.writeUInt32LE(i);
    waiting.push({ topic: `${topics}/backlog`, payload });
  }
  waiting.push({ topic: `${topics}/last`, payload: Buffer.alloc(Number(payloadBytes)) });
  return waiting;
}

function send(client, waiting) {
  return new Promise((resolve, reject) => {
    let next = 0;
    let acknowledged = 0;
    const sendNext = () => {
      if (next === waiting.length) return;
      const { topic, payload } = waiting[next++];
      client.publish(topic, payload, { qos: 1 }, (error) => {
        if (error) reject(error);
        else if (++acknowledged === waiting.length) resolve();
        else sendNext();
      });
    };
    for (let i = 0; i < Number(window); i++) sendNext();
  });
}
