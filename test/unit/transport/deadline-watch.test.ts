import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { DeadlineWatch, type Watched } from "../../../src/transport/deadline-watch.ts";

/** Node's server, as far as it begins and ends to look at its deadlines. */
class FakeServer implements Pick<Watched, "emit"> {
  looks = false;

  emit(): boolean {
    this.looks = true;
    return true;
  }

  close(): void {
    this.looks = false;
  }
}

test("deadlines are looked at only while a connection is open that was not upgraded", async () => {
  const server = new FakeServer();
  const watch = new DeadlineWatch(server as unknown as Watched);
  assert.equal(server.looks, false, "at rest");
  const [one, two] = [new PassThrough(), new PassThrough()];
  watch.enter(one);
  watch.enter(two);
  assert.equal(server.looks, true);
  watch.upgraded(one);
  assert.equal(server.looks, true, "two is open");
  const closed = new Promise((resolve) => two.once("close", resolve));
  two.destroy();
  await closed;
  assert.equal(server.looks, false);
  one.destroy();
  watch.enter(new PassThrough());
  assert.equal(server.looks, true, "the end of an upgraded connection is not counted again");
});
