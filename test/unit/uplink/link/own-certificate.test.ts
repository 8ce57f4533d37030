import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { certificateWords } from "../../../../src/uplink/link/own-certificate.ts";
import { datedCertificate } from "../../../support/dated-certificates.ts";

test("our own certificate says its day when it is not valid", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "own-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "gw.pem");
  writeFileSync(path, datedCertificate({ from: "2024-01-01", to: "2024-02-01" }).cert);
  assert.equal(certificateWords(path, Date.parse("2024-01-15")), null);
  assert.equal(
    certificateWords(path, Date.parse("2026-01-01")),
    `our certificate has expired: ${path} was valid until 2024-02-01`,
  );
  assert.equal(certificateWords(path, 0), `our certificate is not valid yet: ${path} begins on 2024-01-01`);
  writeFileSync(path, "no certificate");
  assert.equal(certificateWords(path, 0), null);
  assert.equal(certificateWords(join(folder, "none.pem"), 0), null);
});
