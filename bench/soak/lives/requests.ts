/** HTTP requests, whole ones and such as break off. */
import { request as httpRequest } from "node:http";
import { createConnection } from "node:net";
import type { Live } from "../crowd.ts";
import { below, type World } from "../world.ts";

/** @returns the status; 0 = no answer */
function ask({ ports }: World, method: string, path: string, body = "", headers = {}): Promise<number> {
  return new Promise((resolve) => {
    const asked = httpRequest(
      { host: "127.0.0.1", port: ports.http, method, path, headers, agent: false },
      (response) => {
        response.resume();
        response.on("close", () => resolve(response.statusCode ?? 0));
      },
    );
    asked.on("error", () => resolve(0));
    asked.end(body);
  });
}

export const browse: Live = async (world, random) => {
  const n = world.next();
  const json = { "content-type": "application/json" };
  await ask(world, "PUT", `/topics/web/${n}?retain=true&qos=${below(random, 3)}`, '{"t":21}', json);
  await ask(world, "GET", `/topics/web/${n}`);
  await ask(world, "GET", `/topics/web/${n}`, "", { "if-none-match": '"0"', authorization: "Basic eDp5" });
  await ask(world, "PUT", `/topics/web/${n}?retain=true`);
  await ask(world, "POST", "/publish", JSON.stringify({ topic: `web/${n}/flux`, payload: "b24=", qos: 1 }), json);
  await ask(world, "GET", "/health");
  await ask(world, "GET", `/nowhere/${n}`);
  if (below(random, 5) === 0) await breakOff(world, n);
};

/** Announces a body, sends a part of it and goes. */
function breakOff({ ports }: World, n: number): Promise<void> {
  const socket = createConnection(ports.http, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`PUT /topics/web/${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nnot all`, () =>
    socket.resetAndDestroy(),
  );
  return new Promise((resolve) => socket.on("close", () => resolve()));
}
