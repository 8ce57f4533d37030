import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { askControl, type ControlHandler, ControlServer, NoGatewayError } from "../../../src/cli/control.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";

async function serve(handle: ControlHandler) {
  const folder = temporaryFolder();
  const path = join(folder.path, "control.sock");
  const server = new ControlServer(path, handle);
  await server.listen();
  const dispose = async (): Promise<void> => {
    await server.close();
    folder[Symbol.dispose]();
  };
  return { path, server, [Symbol.asyncDispose]: dispose };
}

/** Sends bytes as they are. @returns everything that comes back until the server closes or has sent `lines` lines */
async function raw(path: string, text: string, lines = 1): Promise<string> {
  const socket = createConnection(path);
  socket.setEncoding("utf8").write(text);
  let answer = "";
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.split("\n").length > lines) break;
  }
  socket.destroy();
  return answer;
}

test("a question and its answer, errors in the server's words", async () => {
  await using control = await serve(async (request) => {
    if (request.verb === "echo") return request["value"];
    throw new Error("no such verb");
  });
  assert.deepEqual(await askControl(control.path, { verb: "echo", value: ["ä", 1] }), ["ä", 1]);
  await assert.rejects(askControl(control.path, { verb: "x" }), /^Error: no such verb$/);
  assert.equal(statSync(control.path).mode & 0o777, 0o600);
});

test("several requests on one connection are answered one by one", async () => {
  await using control = await serve((request) => request.verb);
  assert.equal(
    await raw(control.path, '{"verb":"a"}\n{"verb":"b"}\n', 2),
    '{"ok":true,"result":"a"}\n{"ok":true,"result":"b"}\n',
  );
});

test("what is no request is refused and harms nobody", async () => {
  await using control = await serve(() => "fine");
  for (const text of ["hello\n", "[]\n", "null\n", '{"verb":1}\n', "\n"]) {
    assert.match(
      await raw(control.path, text),
      /^\{"ok":false,"error":"(the request is no JSON|a request is .*)"\}\n$/,
    );
  }
  assert.match(await raw(control.path, "x".repeat(70_000)), /the request is too long/);
  assert.match(await raw(control.path, `${"x".repeat(70_000)}\n{"verb":"a"}\n`), /the request is (too long|no JSON)/);
  assert.equal(await askControl(control.path, { verb: "a" }), "fine");
});

test("without a gateway there is nobody to ask", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "control.sock");
  await assert.rejects(askControl(path, { verb: "status" }), NoGatewayError);
  const server = createServer((socket) => socket.destroy()).listen(path);
  await once(server, "listening");
  await assert.rejects(
    askControl(path, { verb: "status" }),
    /closed the connection without an answer|ECONNRESET|EPIPE/,
  );
  server.close();
});

test("takes the place of what an earlier gateway left", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "control.sock");
  writeFileSync(path, "");
  const server = new ControlServer(path, () => 1);
  await server.listen();
  assert.equal(await askControl(path, { verb: "x" }), 1);
  await server.close();
  await assert.rejects(askControl(path, { verb: "x" }), NoGatewayError);
});

test("closing ends connections that wait", async () => {
  await using control = await serve(() => new Promise(() => {}));
  const asked = askControl(control.path, { verb: "never" });
  const socket = createConnection(control.path).on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect");
  await control.server.close();
  await assert.rejects(asked);
  await closed;
});
