import { Agent, request } from "coap";
import type { Address, Device } from "./device.ts";

/** One message in so many is a longer report, which is sent in blocks. */
const REPORT_EVERY = 8;
const REPORT_BYTES = 300;
/** Block1 of 64 bytes (RFC 7959 section 2.2: SZX 2). */
const BLOCKS_OF_64 = Buffer.from([2]);

/** A device with npm's coap: confirmable PUT, acknowledged with 2.04; reports go block by block, one at a time. */
export function coapDevice(source: string, gateway: Address, messagesPerSecond: number): Device {
  const agent = new Agent({ type: "udp4" });
  let sent = 0;
  let reporting = false;
  return {
    source,
    speaks: "CoAP PUT, also in blocks",
    acknowledges: true,
    messagesPerSecond,
    windowMax: 8,
    publish: (payload, done) => {
      const isReport = sent++ % REPORT_EVERY === 0 && !reporting;
      if (isReport) reporting = true;
      const finish = (refusal: string | null): void => {
        if (isReport) reporting = false;
        done(refusal);
      };
      const put = request({
        hostname: gateway.host,
        port: gateway.port,
        method: "PUT",
        pathname: `/ps/sensors/${source}${isReport ? "/report" : ""}`,
        confirmable: true,
        agent,
      });
      if (isReport) put.setOption("Block1", BLOCKS_OF_64);
      put.on("response", (response) => finish(response.code.startsWith("2.") ? null : response.code));
      put.on("error", (error: Error) => finish(error.message));
      put.end(isReport ? payload.padEnd(REPORT_BYTES) : payload);
    },
    close: async () => {
      agent.close();
    },
  };
}
