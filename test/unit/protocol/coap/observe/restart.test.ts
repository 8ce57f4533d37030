/** Observations of clients with a clientid outlive the process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLIENT, type Seen, World } from "./world.ts";

/** What there is of them in the store. */
function records(w: World): string[] {
  const receiver = w.store.loadReceiver("coap-observers", "");
  return receiver === null ? [] : w.store.loadSubscriptions(receiver.id).map(({ filter }) => filter);
}

test("after a restart the client is told the present value by a CON, under its token, later in order than all before", () => {
  const w = new World();
  w.publish("a", "1", { retain: true, mediaType: "application/json" });
  w.proven("/ps/a?clientid=meter-7&qos=1", "0a0b");
  w.publish("a", "2", { retain: true, mediaType: "application/json" });
  const before = w.one();
  const next = w.restarted();
  next.advance(100);
  const again = next.one();
  assert.deepEqual(
    [again.type, again.code, again.payload, again.token, again.format, again.address, again.port],
    ["CON", "2.05", "2", "0a0b", 50, CLIENT.address, CLIENT.port],
  );
  assert.ok((again.observe as number) > (before.observe as number));
  next.acknowledge(again);
  next.publish("a", "3", { qos: 1, mediaType: "application/json" });
  assert.equal(next.one().payload, "3");
});

test("without clientid, and over DTLS, nothing is kept", () => {
  const w = new World();
  w.proven("/ps/a");
  assert.deepEqual(records(w), []);
  const secure = new World({ secure: true });
  secure.observe("/ps/a?clientid=x");
  assert.deepEqual(records(secure), []);
});

test("who is not kept is told by 5.03 that the gateway ends, and when to register again; who is kept hears from it", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  w.proven("/ps/a", "01");
  w.proven("/ps/a?clientid=x", "02");
  w.observe("/ps/a", "03", { address: "192.0.2.200", port: 1 }); // never proven
  w.run();
  w.take();
  w.server.close();
  const told = w.take();
  assert.deepEqual(
    told.map(({ type, code, token, maxAge, observe }) => [type, code, token, maxAge, observe]),
    [["NON", "5.03", "01", 10, undefined]],
  );
  assert.equal(records(w).length, 1);
});

test("a renewal writes nothing new; another registration of the token replaces the record", () => {
  const w = new World();
  const puts: string[] = [];
  const put = w.store.putSubscription.bind(w.store);
  w.store.putSubscription = (id, record) => {
    puts.push(record.filter);
    put(id, record);
  };
  w.proven("/ps/a?clientid=x", "01");
  w.observe("/ps/a?clientid=x", "01");
  w.publish("a", "value", { qos: 1 });
  w.acknowledge(w.one());
  assert.equal(puts.length, 1);
  w.observe("/ps/b?clientid=x", "01");
  assert.equal(puts.length, 2);
  assert.equal(records(w).length, 1);
  w.observe("/ps/b?clientid=x&qos=0", "01");
  assert.equal(records(w).length, 1);
});

test("a deregistration, a reset, five attempts and a 4.03 delete the record", () => {
  for (const end of ["deregister", "reset", "time", "rights"]) {
    const w = new World();
    w.proven("/ps/a?clientid=x", "01");
    assert.equal(records(w).length, 1);
    w.publish("a", "x");
    const message = w.one();
    if (end === "deregister") w.observe("/ps/a?clientid=x", "01", CLIENT, 1);
    else if (end === "reset") w.reset(message);
    else if (end === "time") w.advance(100_000);
    else {
      w.forbidden.add("a");
      w.authority.generation++;
      w.advance(1_100);
    }
    assert.deepEqual(records(w), [], end);
    assert.deepEqual(w.restarted().take(), [], end);
  }
});

test("an orderly stop keeps what kill -9 keeps", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  w.server.close();
  w.shared.stop();
  assert.equal(records(w).length, 1);
  assert.equal(w.restarted().one().payload, "");
});

test("a client that has gone while the gateway was away is forgotten after five attempts, for good", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  const next = w.restarted();
  next.advance(100_000);
  assert.equal(next.count("coap.observers"), 0);
  assert.deepEqual(next.restarted().take(), []);
});

test("a client that answers the re-announcement with a reset is forgotten, for good", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  const next = w.restarted();
  next.reset(next.one());
  assert.deepEqual(next.restarted().take(), []);
});

test("a wildcard is re-announced by an empty CON, then its retained values are told", () => {
  const w = new World();
  w.publish("s/1", "1", { retain: true });
  w.publish("s/2", "2", { retain: true });
  w.proven("/ps/s/%2B?clientid=x", "01");
  const next = w.restarted();
  const seen: Seen[] = [];
  for (let i = 0; i < 10; i++) {
    for (const message of next.take()) {
      seen.push(message);
      if (message.type === "CON") next.acknowledge(message);
    }
    next.advance(1_000);
  }
  assert.deepEqual(
    seen.map(({ payload, location }) => [payload, location.join("/")]),
    [
      ["", ""],
      ["1", "ps/s/1"],
      ["2", "ps/s/2"],
    ],
  );
});

test("who may no longer read after the restart is told by a 4.03", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  const store = w.store.crash();
  const next = new World({ store, clock: w.clock, forbidden: ["a"] });
  assert.equal(next.one().code, "4.03");
  assert.deepEqual(records(next), []);
});

test("a client that comes from another port with the same clientid and token leaves nothing at the old one", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  w.proven("/ps/a?clientid=x", "01", { ...CLIENT, port: 50_000 });
  assert.equal(w.count("coap.observers"), 1);
  assert.equal(records(w).length, 1);
  w.publish("a", "v");
  assert.equal(w.one().port, 50_000);
});

test("records of listeners that are no longer there are deleted after a minute; those of another version at once", () => {
  const w = new World();
  w.proven("/ps/a?clientid=x", "01");
  const id = w.store.loadReceiver("coap-observers", "")?.id as number;
  w.store.putSubscription(id, { filter: '[99,"future"]', options: 0, subscriptionId: 0 });
  w.store.putSubscription(id, { filter: "no list", options: 0, subscriptionId: 0 });
  const next = w.restarted({ listenerPort: 5_999 });
  assert.equal(records(next).length, 1);
  assert.deepEqual(next.take(), []);
  next.advance(62_000);
  assert.deepEqual(records(next), []);
});

test("while the re-announcement is retransmitted, a newer value takes its place", () => {
  const w = new World();
  w.publish("a", "1", { retain: true });
  w.proven("/ps/a?clientid=x", "01");
  const next = w.restarted();
  const announced = next.one();
  assert.equal(announced.payload, "1");
  next.publish("a", "2", { retain: true });
  next.advance(3_100);
  const again = next.one();
  assert.equal(again.payload, "2");
  assert.notEqual(again.messageId, announced.messageId);
  next.acknowledge(again);
  next.advance(10_000);
  assert.deepEqual(next.take(), []);
});
