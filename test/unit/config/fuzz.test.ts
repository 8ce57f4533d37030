import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { complaintText } from "../../../src/config/complaint.ts";
import { load } from "../../../src/config/load.ts";

const GOOD = `node: gw-17
data_dir: /var/lib/sluice
memory_limit: 16MiB
listeners:
  - {type: mqtt, bind: "0.0.0.0:8883", tls: {cert: gw.pem, key: gw.key, client_ca: ca.pem}, max_qos: 2, anonymous: never}
  - {type: mqtt, bind: "unix:/run/sluice/mqtt.sock", mode: "0660", retain_available: false}
  - {type: ws, bind: "0.0.0.0:8083", path: /mqtt, origins: ["https://panel.local"]}
  - {type: coap, bind: "0.0.0.0:5683"}
  - {type: http, bind: "127.0.0.1:8080"}
serial:
  - {name: meter, port: /dev/ttyUSB0, baud: 115200, framing: line, publish: {topic: serial/meter, qos: 1}, write: {topic: serial/meter/set, qos: 1}}
uplinks:
  - name: cloud
    url: mqtts://broker.example.com:8883
    protocol: 5
    client_id: gw-17
    username: gw-17
    password_file: cloud.pw
    tls: {ca: cloud-ca.pem, cert: gw.pem, key: gw.key, alpn: [mqtt], servername: broker.example.com}
    keepalive: 60s
    session_expiry: 7d
    window: 64
    bind_address: 10.1.2.3
    forward:
      - {match: "sensors/#", qos: 1, to: "site/17/{topic}", offline: store}
    receive:
      - {match: "site/17/cmd/#", qos: 1, to: "cmd/{rest}"}
    spool: {max_bytes: 256MiB, max_messages: 1000000, max_age: 7d, when_full: drop-oldest}
    drain: oldest-first
store: {sync: full, commit_delay: auto, commit_bytes: 256KiB, max_bytes: 512MiB, write_budget_per_day: 2GiB, endurance: 30TB}
durability: [{match: "alarms/#", commit_delay: 0ms}]
auth: {anonymous: loopback, password_file: passwd, acl_file: acl}
limits: {max_connections: 1024, session_queue_bytes: 64KiB, pause_max: 2s, inflight: 64, keep_alive_max: 1h, connect_timeout: 5s, string_bytes: 256}
response_information: "reply/{client}"
sys_interval: 10s
log: {level: info, format: text}
`;
const options = { directory: "/etc/sluice", checkFiles: false };
const PIECES = [
  "",
  " ",
  "\n",
  "\n  ",
  "- ",
  ": ",
  "{",
  "}",
  "[",
  "]",
  '"',
  "'",
  "#",
  "&a",
  "*a",
  "!!x",
  "|",
  ">",
  "?",
  "0",
  "-1",
  "9".repeat(40),
  "~",
  "\t",
  "\0",
  "é",
  "\u{1F600}",
  "\ud800",
  "%",
  "<<",
  "__proto__",
];

test("the contract's example, less what comes later, is accepted", () => {
  assert.deepEqual(load(GOOD, options).complaints, []);
});

test("whatever a file holds, it is a configuration or complaints, never an exception", () => {
  const random = seededRandom(17);
  const pick = (n: number): number => Math.floor(random() * n);
  for (let run = 0; run < 1500; run++) {
    let text = GOOD;
    for (let edits = 1 + pick(3); edits > 0; edits--) {
      const at = pick(text.length);
      text = text.slice(0, at) + PIECES[pick(PIECES.length)] + text.slice(at + pick(4));
    }
    const { config, complaints } = load(text, options);
    assert.equal(config === null, complaints.length > 0);
    const lines = text.split("\n").length;
    for (const complaint of complaints) {
      assert.ok(complaint.line >= 0 && complaint.line <= lines, complaintText(complaint, "gw.yaml"));
      assert.ok(complaint.problem !== "", JSON.stringify(complaint));
    }
  }
});
