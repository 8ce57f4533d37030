// CoAP over DTLS against the running gateway: libcoap's clients of both TLS libraries, and openssl s_client.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { libcoapBy } from "../support/coap-peers.ts";
import { requireDtls } from "../support/coaps-peer.ts";
import { dtlsCount, dtlsHome, nobodyLeft } from "../support/dtls-home.ts";
import { eventually } from "../support/eventually.ts";
import type { GatewayProcess } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { Authority } from "../unit/transport/fixture.ts";

const CLIENTS = ["coap-client-openssl", "coap-client-gnutls"] as const;
type Client = (typeof CLIENTS)[number];
const noPeers = requirePeer(...CLIENTS) || requireDtls();
const noDtls = requireDtls();

/** libcoap over DTLS, from a process of its own. @returns what it printed */
function coaps(program: Client, gateway: GatewayProcess, path: string, ...args: string[]): Promise<string> {
  return libcoapBy({ program, scheme: "coaps" }, gateway, path, "-B", "4", ...args);
}

const byKey = (identity: string, key: string): string[] => ["-u", identity, "-k", key];

const KEYS = "meter-1:s3cret\nmeter-2:hex:6b65792d32c3a9:anna\nhex:75726e3a64657631:k3y\n";

for (const client of CLIENTS) {
  test(`${client} with a shared key: PUT reaches an MQTT subscriber under the name of psk_file`, {
    skip: noPeers,
  }, async (t) => {
    const { gateway } = await dtlsHome(
      t,
      { psk_file: "psk.txt" },
      { auth: { anonymous: "loopback", acl_file: "acl" } },
      {
        "psk.txt": KEYS,
        acl: "topic read #\n\nuser anna\ntopic write own/anna/#\n\npattern write by/%u/#\npattern read by/%u/#\n",
      },
    );
    await using subscriber = await MqttCollector.open(gateway.port(), "#");
    const put = (path: string, who: string[]) => coaps(client, gateway, path, "-m", "put", "-e", "21.5", ...who);
    const anna = byKey("meter-2", "key-2é");
    assert.match(await put("/ps/own/anna/1", anna), /c:2\.04/);
    assert.match(await put("/ps/own/berta/1", anna), /c:4\.03/);
    assert.match(await put("/ps/by/meter-2/1", anna), /c:4\.03/, "the name counts, not the identity");
    assert.match(await put("/ps/by/anna/1", anna), /c:2\.04/);
    assert.match(await put("/ps/by/meter-1/1?retain=true", byKey("meter-1", "s3cret")), /c:2\.01/);
    assert.match(await put("/ps/by/urn:dev1/1", byKey("urn:dev1", "k3y")), /c:2\.04/);
    const read = (path: string) => coaps(client, gateway, path, ...byKey("meter-1", "s3cret"));
    assert.match(await read("/ps/by/meter-1/1"), /c:2\.05 [\s\S]*21\.5/);
    assert.match(await read("/ps/by/anna/1"), /c:4\.03/);
    assert.match(await put("/ps/by/anna/1?username=anna", byKey("meter-1", "s3cret")), /c:4\.03/, "DTLS has the word");
    assert.deepEqual(
      (await subscriber.take(4)).map(({ topic }) => topic),
      ["own/anna/1", "by/anna/1", "by/meter-1/1", "by/urn:dev1/1"],
    );
    await nobodyLeft(gateway);
    assert.equal(await dtlsCount(gateway, "handshakes"), 9);
  });

  test(`${client} with a wrong key or an unknown identity gets nothing, and leaves nothing behind`, {
    skip: noPeers,
  }, async (t) => {
    const { gateway } = await dtlsHome(t, { psk_file: "psk.txt", handshake_timeout: "1s" }, {}, { "psk.txt": KEYS });
    const get = (who: string[]) => coaps(client, gateway, "/health", "-B", "2", ...who);
    const [wrong, unknown] = await Promise.all([get(byKey("meter-1", "wrong")), get(byKey("meter-9", "s3cret"))]);
    assert.doesNotMatch(wrong, /c:2\.05/);
    assert.doesNotMatch(unknown, /c:2\.05/);
    await eventually("both are told", () => (gateway.stderr.match(/dtls-handshake-failed/g) ?? []).length >= 2);
    assert.match(gateway.stderr, /dtls-handshake-failed .*cause=wrong-key .*identity=meter-1/);
    assert.match(gateway.stderr, /dtls-handshake-failed .*cause=unknown-identity .*identity=meter-9/);
    await nobodyLeft(gateway);
    assert.match(await get(byKey("meter-1", "s3cret")), /c:2\.05/, "the right one still gets in");
  });

  test(`${client} with certificates: ours of ECDSA and RSA, its own, none, and one of another authority`, {
    skip: noPeers,
  }, async (t) => {
    const authority = new Authority(t);
    const { cert, key } = authority.issue("gateway");
    const { issued, ca: rsaCa } = await makeCertificates(authority.directory, [{ name: "rsa", usage: "server" }]);
    const { gateway } = await dtlsHome(
      t,
      [
        { cert, key, client_ca: authority.ca, handshake_timeout: "3s" },
        { cert: issued[0]?.cert, key: issued[0]?.key },
      ],
      { auth: { anonymous: "never", acl_file: "acl" } },
      { acl: "pattern readwrite by/%u/#\n" },
    );
    const boiler = authority.issue("boiler");
    const stranger = new Authority(t, "stranger").issue("boiler");
    const ask = (args: string[], path = "/ps/by/boiler/1") =>
      coaps(client, gateway, path, "-m", "put", "-e", "1", ...args);
    const good = ["-c", boiler.cert, "-j", boiler.key, "-C", authority.ca];
    assert.match(await ask(good), /c:2\.04/);
    assert.match(await ask(good, "/ps/by/other/1"), /c:4\.03/);
    assert.doesNotMatch(await ask(["-R", authority.ca]), /c:[245]\./, "no certificate");
    assert.doesNotMatch(await ask(["-c", stranger.cert, "-j", stranger.key, "-R", authority.ca]), /c:[245]\./);
    // GnuTLS shows no certificate to a server that asks for those of another authority.
    const both = client === "coap-client-gnutls";
    assert.equal(await dtlsCount(gateway, "failed.no-certificate"), both ? 2 : 1);
    assert.equal(await dtlsCount(gateway, "failed.certificate-not-trusted"), both ? 0 : 1);
    const rsa = { port: gateway.port("coap", 1) };
    const get = (...args: string[]) =>
      libcoapBy({ program: client, scheme: "coaps" }, rsa, "/health", "-B", "4", ...args);
    assert.match(await get("-R", rsaCa), /c:2\.05/);
    assert.doesNotMatch(await get("-R", authority.ca), /c:2\.05/, "the client checks ours");
    assert.match(
      await libcoapBy({ program: client, scheme: "coaps" }, rsa, "/ps/a", "-B", "4", "-R", rsaCa),
      /c:4\.01/,
      "without certificate and key it is nobody",
    );
    await nobodyLeft(gateway);
  });
}

test("openssl s_client with a binary key; a suite that nobody should use is refused", {
  skip: noDtls || requirePeer("openssl"),
}, async (t) => {
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "dev:hex:00010000ff\n" });
  const connect = async (...args: string[]): Promise<string> => {
    const words = ["s_client", "-dtls1_2", "-connect", `127.0.0.1:${gateway.port("coap")}`, "-psk_identity", "dev"];
    const child = spawn(peerPath("openssl"), [...words, "-psk", "00010000ff", ...args]);
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => {
        text += bytes;
        if (/Verify return code|:error:/.test(text) && child.stdin.writable) child.stdin.end("Q\n");
      });
    const timer = setTimeout(() => child.kill(), 5000);
    await once(child, "close");
    clearTimeout(timer);
    return text;
  };
  assert.match(await connect("-cipher", "PSK-AES128-CCM8@SECLEVEL=0"), /Cipher is PSK-AES128-CCM8/);
  assert.match(await connect("-cipher", "PSK-AES128-GCM-SHA256"), /Cipher is PSK-AES128-GCM-SHA256/);
  assert.match(await connect("-cipher", "PSK-AES128-CBC-SHA@SECLEVEL=0"), /handshake failure/);
  assert.equal(await dtlsCount(gateway, "failed.no-common-cipher"), 1);
  assert.match(gateway.stderr, /cause=no-common-cipher/);
});
