/**
 * The demo's stand-in for a cloud broker: npm's aedes behind TLS, which asks for the gateway's certificate, user name
 * and password.
 *
 *     node cloud.ts DIRECTORY PORT      (PORT 0: any; it is printed)
 *
 * DIRECTORY holds ca.pem, cloud.pem, cloud.key and cloud.pw. Every message is noted in DIRECTORY/received.log before
 * it is acknowledged; that survives `kill -9`, so what this broker acknowledged is found there. Its sessions do not
 * survive: after a kill it knows nobody, and the gateway has to send again what it has no acknowledgement for.
 */
import { openSync, readFileSync, writeSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { Aedes } from "aedes";

const [directory = ".", port = "0"] = process.argv.slice(2);
const password = readFileSync(`${directory}/cloud.pw`, "utf8").trim();
const journal = openSync(`${directory}/received.log`, "a");

const broker = await Aedes.createBroker({
  authenticate: (_client, user, secret, done) => done(null, user === "gateway" && secret?.toString() === password),
  authorizePublish: (_client, packet, done) => {
    writeSync(journal, `${lineFor(packet.topic, packet.payload.toString())}\n`);
    done(null); // from here on it may be acknowledged
  },
});

const server = createServer(
  {
    cert: readFileSync(`${directory}/cloud.pem`),
    key: readFileSync(`${directory}/cloud.key`),
    ca: readFileSync(`${directory}/ca.pem`),
    requestCert: true,
    rejectUnauthorized: true,
  },
  broker.handle,
);
server.listen(Number(port), "127.0.0.1", () => {
  process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`);
});

/** `source sequence`; what is not of the sample devices is noted as topic and payload. */
function lineFor(topic: string, payload: string): string {
  try {
    const { source, seq } = JSON.parse(payload) as { source?: unknown; seq?: unknown };
    if (typeof source === "string" && typeof seq === "number") return `${source} ${seq}`;
  } catch {
    // somebody's own words
  }
  return `${topic} ${JSON.stringify(payload)}`;
}
