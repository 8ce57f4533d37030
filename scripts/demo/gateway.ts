import { createWriteStream, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../kept/kept-process.ts";
import { writtenBytes } from "../kept/proc.ts";
import type { CertificatePaths } from "./certificates.ts";
import type { Address } from "./devices/device.ts";

export const LAUNCHER = fileURLToPath(new URL("../../build/sluice", import.meta.url));
const RESERVE_NAME = "sluice.reserve";
const START_TIMEOUT_MS = 15_000;
const LOG_LINES_SHOWN = 12;

export interface GatewayOptions {
  readonly directory: string;
  readonly ca: string;
  readonly certificate: CertificatePaths;
  readonly cloudUrl: string;
  /** Path of the serial line; null for none. */
  readonly serialPort: string | null;
}

export interface Gateway {
  readonly process: KeptProcess;
  readonly mqtt: Address;
  readonly coap: Address;
  readonly http: Address;
  readonly configFile: string;
  /** Bytes it wrote to a disk since it was ready. The file it keeps in reserve for a full disk is not counted. */
  writtenBytes(): number;
  /** The end of its log, for when something went wrong. */
  logTail(): string;
}

interface Ready {
  readonly event: string;
  readonly listeners: readonly { readonly type: string; readonly address: string }[];
}

/** Starts the product as a user would: a configuration file and `sluice run`. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  if (!existsSync(LAUNCHER)) throw new Error("the gateway is not built: run npm run build");
  const configFile = `${options.directory}/sluice.yaml`;
  const logFile = `${options.directory}/gateway.log`;
  writeFileSync(configFile, configuration(options));
  const gateway = await KeptProcess.start(LAUNCHER, ["run", "--config", configFile, "--json"]);
  gateway.stderr.pipe(createWriteStream(logFile));
  const logTail = (): string => readFileSync(logFile, "utf8").trim().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
  const ready = await lineOf(gateway.stdout, readyOf, START_TIMEOUT_MS).catch(async (error: Error) => {
    await gateway.stop();
    throw new Error(`the gateway ${error.message}\n${logTail()}`);
  });
  const addressOf = (type: string): Address => {
    const [host = "", port = ""] = ready.listeners.find((listener) => listener.type === type)?.address.split(":") ?? [];
    return { host, port: Number(port) };
  };
  const reserve = `${options.directory}/data/${RESERVE_NAME}`;
  const written = (): number => writtenBytes(gateway.pid) - (statSync(reserve, { throwIfNoEntry: false })?.size ?? 0);
  const writtenAtStart = written();
  let writtenLast = 0;
  return {
    process: gateway,
    mqtt: addressOf("mqtt"),
    coap: addressOf("coap"),
    http: addressOf("http"),
    configFile,
    writtenBytes: () => {
      if (gateway.running) writtenLast = Math.max(writtenLast, written() - writtenAtStart);
      return writtenLast;
    },
    logTail,
  };
}

function readyOf(line: string): Ready | null {
  if (!line.startsWith("{")) return null;
  const message = JSON.parse(line) as Ready;
  return message.event === "ready" ? message : null;
}

function configuration(options: GatewayOptions): string {
  const { directory, ca, certificate, cloudUrl, serialPort } = options;
  const serial = `serial:
  - {name: meter, port: ${serialPort}, baud: 115200, framing: line, publish: {topic: sensors/meter, qos: 1}}
`;
  return `node: demo
data_dir: ${directory}/data
listeners:
  - {type: mqtt, bind: "127.0.0.1:0"}
  - {type: coap, bind: "127.0.0.1:0"}
  - {type: http, bind: "127.0.0.1:0"}
${serialPort === null ? "" : serial}uplinks:
  - name: cloud
    url: ${cloudUrl}
    protocol: 4 # the stand-in broker speaks MQTT 3.1.1
    client_id: demo-gateway
    username: gateway
    password_file: ${directory}/cloud.pw
    tls: {ca: ${ca}, cert: ${certificate.cert}, key: ${certificate.key}, servername: localhost}
    forward:
      - {match: "sensors/#", qos: 1, to: "site/demo/{topic}"}
`;
}
