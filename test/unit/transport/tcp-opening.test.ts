import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type ConnectOptions, TcpOpening } from "../../../src/transport/tcp-opening.ts";

interface Outcome {
  readonly socket: Socket | null;
  readonly eager: boolean;
  readonly error: string;
  readonly again: number;
}

/** @param onAgain with the number of the eager one */
function opened(port: number, againMs: number | null, onAgain: (count: number) => void = () => {}): Promise<Outcome> {
  let again = 0;
  return new Promise((resolve) => {
    new TcpOpening({ host: "127.0.0.1", port }, againMs, {
      onAgain: () => onAgain(++again),
      onOpened: (socket, eager) => resolve({ socket, eager, error: "", again }),
      onFailed: (error) => resolve({ socket: null, eager: false, error: error.message, again }),
    });
  });
}

/** A server whose kernel drops every SYN until it is let go on. */
async function deafServer(t: TestContext): Promise<{ port: number; listen: () => void }> {
  const code = `require("net").createServer((s) => s.on("error", () => {}))
    .listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () { console.log(this.address().port); })`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(line.toString());
  child.kill("SIGSTOP");
  const fillers = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => {}));
  t.after(async () => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  // Two fit into the queue.
  await Promise.race(fillers.map((filler) => once(filler, "connect")));
  return { port, listen: () => child.kill("SIGCONT") };
}

test("a path that comes back between two SYNs of the kernel's is found by the eager one", async (t) => {
  const { port, listen } = await deafServer(t);
  // The patient one asks after 1 and 3 s.
  const { socket, eager } = await opened(port, 100, (count) => {
    if (count === 14) listen();
  });
  assert.equal(eager, true);
  socket?.destroy();
});

test("who answers at once is connected to once; a refusal is the server's answer", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const { socket, eager, again } = await opened(port, 1000);
  assert.deepEqual([eager, again], [false, 0]);
  socket?.destroy();
  server.close();
  await once(server, "close");
  assert.equal(connections, 1);
  assert.match((await opened(port, 1000)).error, /ECONNREFUSED/);
});

test("an eager one tries several addresses, whatever time it has", async (t) => {
  const { port, listen } = await deafServer(t);
  const addresses = [
    { address: "127.0.0.1", family: 4 },
    { address: "127.0.0.1", family: 4 },
  ];
  const options = {
    host: "cloud.example",
    port,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 5000,
    lookup: (_name: string, _options: object, found: (error: null, all: typeof addresses) => void) =>
      found(null, addresses),
  };
  const socket = await new Promise<Socket>((resolve, reject) => {
    let again = 0;
    new TcpOpening(options as unknown as ConnectOptions, 100.375, {
      onAgain: () => (++again === 3 ? listen() : undefined),
      onOpened: resolve,
      onFailed: reject,
    });
  });
  socket.destroy();
});

test("cancelled, neither is heard of any more", async (t) => {
  const { port, listen } = await deafServer(t);
  let calls = 0;
  let again = 0;
  await new Promise<void>((resolve) => {
    const opening = new TcpOpening({ host: "127.0.0.1", port }, 20, {
      onAgain() {
        if (++again < 3) return;
        opening.cancel();
        resolve();
      },
      onOpened: () => calls++,
      onFailed: () => calls++,
    });
  });
  listen();
  const { socket } = await opened(port, 100);
  socket?.destroy();
  assert.deepEqual([calls, again], [0, 3]);
});
