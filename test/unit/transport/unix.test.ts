import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { listenUnix } from "../../../src/transport/unix.ts";
import { bench, Door, temporaryDirectory } from "./fixture.ts";

test("a unix socket has its mode, its links are loopback, and its file goes with the listener", async (t) => {
  const { transport } = bench(t);
  const path = join(temporaryDirectory(t), "mqtt.sock");
  const door = new Door();
  const listener = await listenUnix({ transport, index: 2, type: "mqtt", path, mode: 0o660 }, door.accept);
  assert.equal(listener.address, `unix:${path}`);
  assert.equal(listener.name, `listener 2 (mqtt unix:${path})`);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  const socket = connect(path);
  t.after(() => socket.destroy());
  socket.write("hello");
  const peer = await door.link();
  await peer.until(() => peer.text() === "hello");
  assert.deepEqual([peer.link.remote, peer.link.remoteAddress, peer.link.loopback], ["unix", "unix", true]);
  peer.link.output.append(Buffer.from("hi"), 0, 2);
  assert.equal(String((await once(socket, "data"))[0]), "hi");
  peer.link.end();
  socket.end();
  await peer.until(() => peer.closes === 1);
  await listener.close();
  assert.equal(existsSync(path), false);
});

test("a socket file that a killed process left is replaced", async (t) => {
  const made = bench(t);
  const { transport } = made;
  const path = join(temporaryDirectory(t), "mqtt.sock");
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
  assert.equal(existsSync(path), true);
  const door = new Door();
  made.listeners.push(await listenUnix({ transport, index: 0, type: "mqtt", path, mode: 0o600 }, door.accept));
  const socket = connect(path);
  t.after(() => socket.destroy());
  await door.link();
});

test("a socket in use, and a file that is none, are left alone", async (t) => {
  const made = bench(t);
  const { transport } = made;
  const directory = temporaryDirectory(t);
  const path = join(directory, "mqtt.sock");
  const listen = (at: string) => listenUnix({ transport, index: 0, type: "mqtt", path: at, mode: 0o600 }, () => {});
  made.listeners.push(await listen(path));
  await assert.rejects(listen(path), { message: `listener 0 (mqtt unix:${path}): address in use` });
  const file = join(directory, "precious");
  writeFileSync(file, "data");
  await assert.rejects(listen(file), {
    message: `listener 0 (mqtt unix:${file}): ${file} is there and is not a socket`,
  });
  await assert.rejects(listen(join(directory, "no", "such", "directory")), /listener 0 .*: /);
});
