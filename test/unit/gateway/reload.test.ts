import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { type CertificatePaths, makeCertificates } from "../../../scripts/demo/certificates.ts";
import { Log } from "../../../src/base/log.ts";
import { load } from "../../../src/config/load.ts";
import { judge } from "../../../src/gateway/configuration.ts";
import { Gateway } from "../../../src/gateway/gateway.ts";
import { CoapsPeer, psk, requireDtls } from "../../support/coaps-peer.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";

/** Whether the server at `port` shows a certificate of `ca`. */
function shows(port: number, ca: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

test("a reload judges passwords and certificates before it puts any to use", async () => {
  using folder = temporaryFolder();
  const pki = join(folder.path, "pki");
  const first = await makeCertificates(pki, [{ name: "gateway", usage: "server" }]);
  const { cert, key } = first.issued[0] as CertificatePaths;
  const oldCa = readFileSync(first.ca);
  const passwords = join(folder.path, "passwd");
  writeFileSync(passwords, "");
  const text = JSON.stringify({
    data_dir: join(folder.path, "data"),
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0", tls: { cert, key } }],
    auth: { password_file: passwords },
  });
  const { config, complaints } = load(text, { directory: folder.path, checkFiles: false });
  assert.deepEqual(complaints, []);
  assert.ok(config !== null);
  const gateway = new Gateway(config, new Log({ level: "error", format: "text", write: () => {} }));
  const [listener] = await gateway.start();
  try {
    const port = Number(listener?.address.split(":").at(-1));
    const renewed = await makeCertificates(pki, [{ name: "gateway", usage: "server" }]);
    const newCa = readFileSync(renewed.ca);
    writeFileSync(passwords, "meter:plain\n");
    await assert.rejects(gateway.reload(config));
    assert.deepEqual([await shows(port, oldCa), await shows(port, newCa)], [true, false]);
    writeFileSync(passwords, "");
    await gateway.reload(config);
    assert.deepEqual([await shows(port, oldCa), await shows(port, newCa)], [false, true]);
  } finally {
    await gateway.stop();
  }
});

test("a reload takes over keys of DTLS with everything else, or nothing of it", { skip: requireDtls() }, async () => {
  using folder = temporaryFolder();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder.path, name), text);
    return join(folder.path, name);
  };
  const pskFile = file("psk.txt", "meter:old\n");
  const aclFile = file("acl", "topic readwrite #\n");
  const text = JSON.stringify({
    data_dir: join(folder.path, "data"),
    listeners: [{ type: "coap", bind: "127.0.0.1:0", dtls: { psk_file: pskFile } }],
    auth: { acl_file: aclFile },
  });
  const { config } = load(text, { directory: folder.path });
  assert.ok(config !== null);
  const gateway = new Gateway(config, new Log({ level: "error", format: "text", write: () => {} }));
  const [listener] = await gateway.start();
  try {
    const port = Number(listener?.address.split(":").at(-1));
    const opens = async (key: string): Promise<boolean> => {
      const peer = await CoapsPeer.open(port, psk("meter", key), { handshakeTimeoutMs: 500 }).catch(() => null);
      peer?.[Symbol.dispose]();
      return peer !== null;
    };
    file("psk.txt", "meter:new\n");
    file("acl", "nonsense\n");
    await assert.rejects(gateway.reload(config));
    assert.deepEqual([await opens("old"), await opens("new")], [true, false]);
    file("acl", "topic readwrite #\n");
    file("psk.txt", "meter\n");
    await assert.rejects(gateway.reload(config), /psk\.txt:1: has no colon/);
    assert.ok(await opens("old"));
    file("psk.txt", "meter:new\n");
    const { applied } = await gateway.reload(config);
    assert.match(applied.join("; "), /listener 0 \(coap 127\.0\.0\.1:0\): DTLS keys and certificates/);
    assert.deepEqual([await opens("old"), await opens("new")], [false, true]);
  } finally {
    await gateway.stop();
  }
});

test("what is wrong with a file of DTLS keys is found with the configuration, line by line", () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "psk.txt"), "meter:k\nmeter:k2\nhex:0:k\n");
  const text = "listeners: [{type: coap, dtls: {psk_file: psk.txt}}]";
  const { config, complaints } = judge(text, folder.path);
  assert.equal(config, null);
  assert.deepEqual(
    complaints.map(({ file, line, problem }) => [file, line, problem]),
    [
      [join(folder.path, "psk.txt"), 2, "meter has an identity that is given before"],
      [join(folder.path, "psk.txt"), 3, "has hex: before what is no hexadecimal"],
    ],
  );
});
