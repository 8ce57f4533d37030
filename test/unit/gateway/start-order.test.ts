import assert from "node:assert/strict";
import { Server } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Log } from "../../../src/base/log.ts";
import { load } from "../../../src/config/load.ts";
import { Gateway } from "../../../src/gateway/gateway.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";

/** Nobody listens there. */
const CLOSED_PORT = 9;

test("uplinks are receivers before any listener is open: a client that is back at once is acknowledged for them too", async (t: TestContext) => {
  using folder = temporaryFolder();
  const text = JSON.stringify({
    data_dir: join(folder.path, "data"),
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ name: "cloud", url: `mqtt://127.0.0.1:${CLOSED_PORT}`, forward: [{ match: "#", qos: 1 }] }],
  });
  const { config, complaints } = load(text, { directory: folder.path, checkFiles: false });
  assert.deepEqual(complaints, []);
  assert.ok(config !== null);
  const order: string[] = [];
  const gateway = new Gateway(config, new Log({ level: "error", format: "text", write: () => {} }), {
    hooks: {},
    onRooms: ({ router }) => {
      const join = router.join.bind(router);
      router.join = (receiver) => {
        order.push("receiver");
        join(receiver);
      };
    },
  });
  const { listen } = Server.prototype;
  t.mock.method(Server.prototype, "listen", function (this: Server, ...args: Parameters<typeof listen>) {
    if (JSON.stringify(args).includes("127.0.0.1")) order.push("listener");
    return listen.apply(this, args);
  });
  await gateway.start();
  await gateway.stop();
  assert.deepEqual(order, ["receiver", "listener"]);
});
