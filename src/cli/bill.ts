/** The memory bill of a configuration: the lines of every room that it would load. */
import type { Line } from "../config/budget.ts";
import type { Config } from "../config/config.ts";

export async function memoryBill(config: Config): Promise<Line[]> {
  const { limits, listeners, serial, uplinks } = config;
  const count = (type: string): number => listeners.filter((listener) => listener.type === type).length;
  const transport = await import("../transport/budget.ts");
  const store = await import("../store/options.ts");
  const lines = [...transport.budget(limits), ...store.budget(limits.maxSessions + serial.length + uplinks.length)];
  if (count("http") > 0) lines.push(...(await import("../protocol/http/http-api.ts")).budget(limits, count("http")));
  if (count("coap") > 0) lines.push(...(await import("../protocol/coap/coap-server.ts")).budget(count("coap")));
  if (serial.length > 0) {
    lines.push(...(await import("../protocol/serial/serial-line.ts")).budget(limits, serial.length));
  }
  return lines;
}
