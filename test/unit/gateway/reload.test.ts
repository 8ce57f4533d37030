import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { type CertificatePaths, makeCertificates } from "../../../scripts/demo/certificates.ts";
import { Log } from "../../../src/base/log.ts";
import { load } from "../../../src/config/load.ts";
import { Gateway } from "../../../src/gateway/gateway.ts";
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
