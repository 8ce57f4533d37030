import { Agent, request } from "node:http";
import type { Address, Device } from "./device.ts";

/** A device that PUTs to the topic's address; acknowledged with 200 or 204. */
export function httpDevice(source: string, gateway: Address, messagesPerSecond: number): Device {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  return {
    source,
    speaks: "HTTP PUT",
    acknowledges: true,
    messagesPerSecond,
    windowMax: 8,
    publish: (payload, done) => {
      const put = request({ ...gateway, method: "PUT", path: `/topics/sensors/${source}`, agent }, (response) => {
        response.resume();
        response.on("end", () => done(response.statusCode! < 300 ? null : `status ${response.statusCode}`));
      });
      put.on("error", (error) => done(error.message));
      put.end(payload);
    },
    close: async () => agent.destroy(),
  };
}
