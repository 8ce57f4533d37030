/** What a client observes in connection mode ends with its connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLIENT, type Client, World } from "./world.ts";

const OTHER: Client = { address: "192.0.2.8", port: 40_001 };

function connect(w: World, clientId = "c1", user = "alice"): string {
  const { code, payload } = w.ask({ code: "POST" }, `/mqtt/connection?clientid=${clientId}&username=${user}`);
  assert.equal(code, "2.01");
  return `clientid=${clientId}&token=${payload}`;
}

/** What a publication to `a` makes the gateway send; it is acknowledged. */
function told(w: World, payload: string): string[] {
  w.publish("a", payload);
  const notifications = w.take();
  for (const notification of notifications) if (notification.type === "CON") w.acknowledge(notification);
  return notifications.map((seen) => `${seen.token} ${seen.payload}`);
}

test("observed with a token, a topic is notified while the connection lives", () => {
  const w = new World();
  const who = connect(w);
  w.proven(`/ps/a?${who}`, "01");
  for (let i = 0; i < 5; i++) {
    w.advance(30_000);
    assert.equal(w.ask({ code: "PUT" }, `/mqtt/connection?${who}`).code, "2.04");
    assert.deepEqual(told(w, `${i}`), [`01 ${i}`]);
    w.advance(4_000);
    w.take();
  }
});

test("after a goodbye its observations are gone without a word, those of other clients stay", () => {
  const w = new World();
  const who = connect(w);
  w.proven(`/ps/a?${who}`, "01");
  w.proven("/ps/%23?clientid=c1&username=bob", "02");
  w.proven("/ps/a?clientid=c2&username=alice", "03", OTHER);
  assert.equal(w.shared.observers.count, 3);
  assert.equal(w.ask({ code: "DELETE" }, `/mqtt/connection?${who}`).code, "2.02");
  assert.deepEqual(w.take(), []);
  assert.equal(w.shared.observers.count, 2);
  assert.deepEqual(told(w, "x").sort(), ["02 x", "03 x"]);
});

test("a client that was silent for too long is told 4.01 without Observe, and is then not notified any more", () => {
  const w = new World();
  w.proven(`/ps/a?${connect(w)}`, "01");
  w.advance(45_100);
  const last = w.one();
  assert.deepEqual([last.type, last.code, last.token, last.observe], ["CON", "4.01", "01", undefined]);
  w.acknowledge(last);
  assert.deepEqual(told(w, "x"), []);
  assert.deepEqual([w.shared.observers.count, w.shared.connections.size], [0, 0]);
});

test("taken over, the first connection's observations end with 4.01; the second one's go on", () => {
  const w = new World();
  w.proven(`/ps/a?${connect(w)}`, "01");
  const second = connect(w);
  const last = w.one();
  assert.deepEqual([last.code, last.token], ["4.01", "01"]);
  w.acknowledge(last);
  w.proven(`/ps/a?${second}`, "02", OTHER);
  assert.deepEqual(told(w, "x"), ["02 x"]);
});

test("who does not answer any more is forgotten with all it observed, and the store keeps nothing of it", () => {
  const w = new World();
  const who = connect(w);
  for (const [token, path] of [
    ["01", "/ps/a"],
    ["02", "/ps/b/%2B"],
    ["03", "/ps/%23"],
  ] as const) {
    w.proven(`${path}?${who}`, token);
  }
  w.advance(45_100 + 300_000);
  assert.deepEqual([w.shared.observers.count, w.shared.observers.clients], [0, 0]);
  const receiver = w.store.loadReceiver("coap-observers", "");
  assert.deepEqual(receiver === null ? [] : w.store.loadSubscriptions(receiver.id), []);
});

test("a client whose NAT gave it another port observes again, and takes its observation along", () => {
  const w = new World();
  const who = connect(w);
  w.proven(`/ps/a?${who}`, "01");
  assert.equal(w.ask({ code: "PUT" }, `/mqtt/connection?${who}`, OTHER).code, "2.04");
  w.proven(`/ps/a?${who}`, "01", OTHER);
  w.publish("a", "x");
  const notifications = w.take();
  assert.deepEqual(
    notifications.map(({ address, port, payload }) => [address, port, payload]),
    [[OTHER.address, OTHER.port, "x"]],
  );
  assert.equal(w.shared.observers.count, 1);
});

test("after a restart a connection is gone, what it observed goes on until its client says otherwise", () => {
  const w = new World();
  const who = connect(w);
  w.proven(`/ps/a?${who}`, "01");
  const next = w.restarted();
  next.advance(100);
  const again = next.one();
  assert.deepEqual([again.code, again.token], ["2.05", "01"]);
  next.acknowledge(again);
  assert.equal(next.ask({ code: "PUT" }, `/mqtt/connection?${who}`).code, "4.01");
  assert.deepEqual(told(next, "x"), ["01 x"]);
  connect(next);
  assert.equal(next.shared.observers.count, 1);
  assert.equal(CLIENT.port, again.port);
});
