import { Agent, request } from "coap";
import type { Address, Device } from "./device.ts";

/** A device with npm's coap: confirmable PUT, acknowledged with 2.04. */
export function coapDevice(source: string, gateway: Address, messagesPerSecond: number): Device {
  const agent = new Agent({ type: "udp4" });
  return {
    source,
    speaks: "CoAP, confirmable PUT",
    acknowledges: true,
    messagesPerSecond,
    windowMax: 8,
    publish: (payload, done) => {
      const put = request({
        hostname: gateway.host,
        port: gateway.port,
        method: "PUT",
        pathname: `/ps/sensors/${source}`,
        confirmable: true,
        agent,
      });
      put.on("response", (response) => done(response.code.startsWith("2.") ? null : response.code));
      put.on("error", (error: Error) => done(error.message));
      put.end(payload);
    },
    close: async () => {
      agent.close();
    },
  };
}
