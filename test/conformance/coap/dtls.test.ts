// RFC 7252 sections 6.2 and 9: CoAP over DTLS, by openssl's client, whose records are not the product's.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { requireDtls } from "../../support/coaps-peer.ts";
import { Authority } from "../../support/dtls-certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { peerPath, requirePeer } from "../../support/peers.ts";
import { type Fields, type Message, message, readMessage } from "./bytes.ts";
import { get, holdToRules, LISTENERS, product } from "./harness.ts";

const skip = requireDtls() || requirePeer("openssl");
let authority: Authority;
let others: Authority;

const gateway = product((folder) => {
  if (skip !== false) return {};
  authority = new Authority(join(folder, "ca"));
  others = new Authority(join(folder, "others"));
  authority.issue({ name: "gateway" });
  authority.issue({ name: "device" });
  others.issue({ name: "stranger" });
  writeFileSync(join(folder, "psk.txt"), "device:secret\n");
  const certificate = { cert: authority.path("gateway.pem"), key: authority.path("gateway.key") };
  return {
    listeners: [
      ...LISTENERS,
      { type: "coap", bind: "127.0.0.1:0", rate: 1_000_000, dtls: { psk_file: "psk.txt", ...certificate } },
      { type: "coap", bind: "127.0.0.1:0", dtls: { ...certificate, client_ca: authority.path("ca.pem") } },
    ],
    auth: { anonymous: "always" },
  };
});
/** Of the listeners of type coap. */
const SECURE = 1;
const MUTUAL = 2;

const PSK = ["-psk_identity", "device", "-psk", Buffer.from("secret").toString("hex")];

/** openssl s_client over DTLS 1.2: what goes in is application data, and so is what comes out. */
class SecureClient {
  readonly #child: ChildProcess;
  readonly #received: Buffer[] = [];
  /** What it says of itself. */
  words = "";

  constructor(t: TestContext, nth: number, ...args: string[]) {
    const to = ["-connect", `127.0.0.1:${gateway.gateway.port("coap", nth)}`];
    this.#child = spawn(peerPath("openssl"), ["s_client", "-dtls1_2", "-quiet", "-state", ...to, ...args]);
    this.#child.stdout?.on("data", (bytes: Buffer) => this.#received.push(bytes));
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.words += bytes;
    });
    this.#child.stdin?.on("error", () => {}); // it ends when it is refused
    t.after(() => this.#child.kill());
  }

  async ask(fields: Fields): Promise<Message> {
    this.#child.stdin?.write(message(fields));
    await eventually("an answer over DTLS", () => this.#received.length > 0);
    const read = readMessage(this.#received.shift()!);
    holdToRules(read);
    return read;
  }

  /** That it could not get in. */
  async refused(): Promise<void> {
    this.#child.stdin?.write(message(get("/health")));
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    assert.notEqual(this.#child.exitCode, 0, this.words);
    assert.deepEqual(this.#received, []);
  }
}

test("[RFC7252-9-1] [RFC7252-6.2-1] without DTLS: a coap listener answers, a coaps listener does not", {
  skip,
}, async (t) => {
  const open = await gateway.open(t);
  assert.equal((await open.ask(get("/health"))).code, "2.05");
  const plain = await gateway.open(t, gateway.gateway.port("coap", SECURE));
  for (const type of [0, 1])
    for (const fields of [get("/health"), { code: 0, token: "" }]) plain.request({ ...fields, type });
  // By the time that a whole handshake is done the datagrams before it are, too.
  const secure = new SecureClient(t, SECURE, ...PSK, "-cipher", "PSK-AES128-CCM8@SECLEVEL=0");
  assert.equal((await secure.ask(get("/health"))).code, "2.05");
  assert.deepEqual(plain.messages, []);
  assert.equal(plain.failure, null);
});

test("[RFC7252-9.1.3.1-1] [RFC7252-9.1.1-1] [RFC7252-9.1.2-3] TLS_PSK_WITH_AES_128_CCM_8: requests and responses are application data of one session", {
  skip,
}, async (t) => {
  const secure = new SecureClient(t, SECURE, ...PSK, "-cipher", "PSK-AES128-CCM8@SECLEVEL=0");
  for (let id = 1; id <= 5; id++) {
    const answer = await secure.ask({ ...get("/health"), id, token: `${id}` });
    assert.deepEqual(
      [answer.type, answer.code, answer.id, answer.token],
      ["ACK", "2.05", id, Buffer.from(`${id}`).toString("hex")],
    );
  }
  const ping = await secure.ask({ code: 0, id: 9, token: "" });
  assert.deepEqual([ping.type, ping.id], ["RST", 9]);
});

test("[RFC7252-9.1.3.3-1] [RFC7252-9.1.3.3-5] [RFC7252-9.1.3.3-6] [RFC7252-9.1.3.3-7] TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 on secp256r1, the only curve and point format that the client offers", {
  skip,
}, async (t) => {
  const suite = ["-cipher", "ECDHE-ECDSA-AES128-CCM8@SECLEVEL=0", "-groups", "P-256", "-sigalgs", "ECDSA+SHA256"];
  const secure = new SecureClient(t, SECURE, "-CAfile", authority.path("ca.pem"), "-verify_return_error", ...suite);
  assert.equal((await secure.ask(get("/health"))).code, "2.05");
});

test("[RFC7252-9.1.3.3-8] a client's certificate is validated: its authority's gets in, a stranger's and none do not", {
  skip,
}, async (t) => {
  const trust = ["-CAfile", authority.path("ca.pem")];
  const device = ["-cert", authority.path("device.pem"), "-key", authority.path("device.key")];
  const stranger = ["-cert", others.path("stranger.pem"), "-key", others.path("stranger.key")];
  assert.equal((await new SecureClient(t, MUTUAL, ...trust, ...device).ask(get("/health"))).code, "2.05");
  await new SecureClient(t, MUTUAL, ...trust, ...stranger).refused();
  await new SecureClient(t, MUTUAL, ...trust).refused();
});
