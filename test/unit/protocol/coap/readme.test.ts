/** README.md says what is limited: the numbers and counters are the program's. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultConfig } from "../../../../src/config/config.ts";
import { uploadLimits } from "../../../../src/protocol/coap/blocks/upload-table.ts";
import { CONNECTIONS_MAX, NAMES_BYTES_MAX } from "../../../../src/protocol/coap/connection/connection-table.ts";
import { exchangeLimits } from "../../../../src/protocol/coap/message/exchange-table.ts";
import { PEER_LIMITS } from "../../../../src/protocol/coap/message/peer-table.ts";
import { REPLY_LIMITS } from "../../../../src/protocol/coap/message/reply-pool.ts";
import { LEISURE_MAX } from "../../../../src/protocol/coap/message/responder.ts";
import { WAITING_TOPICS_MAX } from "../../../../src/protocol/coap/observe/backlog.ts";
import { observerLimits } from "../../../../src/protocol/coap/observe/limits.ts";
import { LOGIN_BYTES_MAX } from "../../../../src/protocol/coap/shared.ts";
import { OPTIONS_MAX } from "../../../../src/wire/coap/request.ts";
import { Harness } from "./harness.ts";

const README = readFileSync(join(import.meta.dirname, "../../../../README.md"), "utf8");
const kib = (bytes: number): string => `${bytes / 1024} KiB`;
const { observersMax, observersPerPeerMax, textBytesMax, waitingBytesMax } = observerLimits(
  defaultConfig().limits.coapObservers,
);
const uploads = uploadLimits(256 * 1024);
const exchanges = exchangeLimits(defaultConfig().limits.coapExchanges);

const rows = README.split(/^CoAP's own\. /m)[1]
  ?.split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.split("|").map((cell) => cell.trim()));

for (const [limit, value] of [
  ["requests under way", `${REPLY_LIMITS.repliesMax}, of one address ${REPLY_LIMITS.perSourceMax}`],
  ["requests that wait for a login", kib(LOGIN_BYTES_MAX)],
  ["`limits.coap_exchanges`", `${exchanges.exchangesMax}, and ${kib(exchanges.responseBytesMax)} of answers`],
  ["answers to multicasts that wait for their time", `${LEISURE_MAX} of a listener`],
  ["peers", `${PEER_LIMITS.peersMax}`],
  [
    "`limits.coap_observers`",
    `${observersMax}, of one client ${observersPerPeerMax}, ${kib(textBytesMax)} of filters and names`,
  ],
  ["messages that wait to be notified", `${kib(waitingBytesMax)}, and ${WAITING_TOPICS_MAX} topics of a wildcard`],
  ["connections", `${CONNECTIONS_MAX}, and ${kib(NAMES_BYTES_MAX)} of names`],
  ["payloads that come in blocks", `${uploads.uploadsMax}, of one address ${uploads.perAddressMax}`],
  ["options of a request", `${OPTIONS_MAX}`],
] as const) {
  test(`README.md: ${limit}: ${value}`, () => {
    assert.equal(rows?.find(([, name]) => name === limit)?.[2], value);
  });
}

test("README.md: the counters of CoAP's limits are there", () => {
  const { counters } = new Harness();
  const names = rows?.flatMap((cells) => [...(cells[4] ?? "").matchAll(/`(coap\.[^`]*)`/g)].map((match) => match[1]));
  assert.ok((names?.length ?? 0) >= 9);
  for (const name of names ?? []) assert.ok(name !== undefined && counters.has(name), name);
});
