import assert from "node:assert/strict";
import { test } from "node:test";
import { Balance } from "../../../scripts/demo/balance.ts";

function opened(acknowledges = true): Balance {
  const balance = new Balance();
  balance.open("pump", "MQTT", acknowledges);
  return balance;
}

test("an acknowledged message that the cloud does not have is lost", () => {
  const balance = opened();
  for (const sequence of [0, 1, 2]) assert.equal(balance.send("pump"), sequence);
  balance.acknowledge("pump", 0);
  balance.acknowledge("pump", 1);
  balance.receive("pump", 1);
  assert.equal(balance.missing, 1);
  const [row] = balance.rows();
  assert.deepEqual(row, {
    source: "pump",
    speaks: "MQTT",
    sent: 3,
    acknowledged: 2,
    refused: 0,
    received: 1,
    lost: 1,
    duplicates: 0,
  });
});

test("a message may reach the cloud before its acknowledgement reaches the device", () => {
  const balance = opened();
  balance.send("pump");
  balance.receive("pump", 0);
  assert.equal(balance.missing, 0);
  balance.acknowledge("pump", 0);
  assert.equal(balance.missing, 0);
  assert.equal(balance.owed, 1);
});

test("deliveries beyond the first are duplicates, and no duplicate makes up for a loss", () => {
  const balance = opened();
  balance.send("pump");
  balance.send("pump");
  balance.acknowledge("pump", 0);
  balance.acknowledge("pump", 1);
  for (let i = 0; i < 3; i++) balance.receive("pump", 0);
  const [row] = balance.rows();
  assert.equal(row!.duplicates, 2);
  assert.equal(row!.lost, 1);
  assert.equal(balance.received, 1);
});

test("a refused message is not owed, and is not lost", () => {
  const balance = opened();
  balance.send("pump");
  balance.refuse("pump");
  const [row] = balance.rows();
  assert.equal(row!.refused, 1);
  assert.equal(row!.lost, 0);
});

test("a source without acknowledgements is owed everything it sent", () => {
  const balance = opened(false);
  balance.send("pump");
  assert.equal(balance.missing, 1);
  const [row] = balance.rows();
  assert.equal(row!.acknowledged, null);
  assert.equal(row!.lost, 1);
});

test("messages of strangers are told apart", () => {
  const balance = opened();
  assert.equal(balance.receive("stranger", 0), false);
  assert.equal(balance.receive("pump", 0), false);
  assert.equal(balance.received, 0);
});
