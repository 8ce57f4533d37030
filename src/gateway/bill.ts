/** The memory bill of a configuration: the lines of every room that it would load. */
import type { Line } from "../config/budget.ts";
import type { DtlsServerConfig } from "../config/coap-listener.ts";
import type { Config } from "../config/config.ts";
import { readSmallFile } from "../config/files.ts";
import { type PskEntry, parsePskFile, pskName } from "../config/psk-file.ts";
import { linesOf } from "../config/serial.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import { parseAclFile } from "../core/acl-file.ts";
import * as authority from "../core/authority.ts";
import * as cutting from "../core/cutting.ts";
import * as ledger from "../core/ledger.ts";
import { parsePasswordFile } from "../core/password-file.ts";
import type { WhenFull } from "../core/queue-limits.ts";
import * as retained from "../core/retained.ts";
import * as routes from "../core/route-cache.ts";
import * as sessions from "../core/session-memory.ts";
import * as sys from "../core/sys-topics.ts";
import * as waiting from "../core/waiting.ts";
import * as mqtt from "../protocol/mqtt/server.ts";
import * as store from "../store/options.ts";
import * as transport from "../transport/budget.ts";

export async function memoryBill(config: Config): Promise<Line[]> {
  const { limits, listeners, serial, uplinks, memoryLimitBytes } = config;
  const count = (type: string): number => listeners.filter((listener) => listener.type === type).length;
  const policies = [limits.sessionWhenFull, ...uplinks.flatMap(policiesOf)];
  const latest = policies.includes("latest-per-topic");
  const lines = [
    ...transport.budget(limits),
    ...mqtt.budget(limits, memoryLimitBytes, config.auth.passwordFile !== null),
    ...sessions.budget(limits, memoryLimitBytes),
    ...retained.budget(limits),
    ...waiting.budget(memoryLimitBytes),
    ...ledger.budget(),
    ...(latest ? [...cutting.budget(memoryLimitBytes), store.strikesBudget()] : []),
    ...routes.budget(),
    ...(config.sysIntervalMs === "off" ? [] : sys.budget(uplinks.length)),
    ...authority.budget(usersOf(config), rulesOf(config)),
    ...store.budget(serial.length + uplinks.length, store.pendingBytesOf(memoryLimitBytes)),
  ];
  const http = count("http");
  const coapLines = linesOf(serial, "coap").map(({ coap }) => coap);
  const modbus = linesOf(serial, "modbus").map((line) => line.modbus);
  const snLines = linesOf(serial, "mqtt-sn").map(({ mqttSn }) => mqttSn);
  const frameLines = linesOf(serial, "frames");
  if (http > 0) lines.push(...(await import("./http-listeners.ts")).httpBudget(limits, http));
  if (count("coap") + coapLines.length > 0) lines.push(...(await import("./coap-listeners.ts")).coapBudget(limits));
  const mqttSn = listeners.flatMap(({ mqttSn }) => mqttSn?.maxClients ?? []);
  if (mqttSn.length > 0) lines.push(...(await import("./mqtt-sn-listeners.ts")).mqttSnBudget(mqttSn));
  if (snLines.length > 0) {
    const room = await import("./mqtt-sn-listeners.ts");
    lines.push(...room.mqttSnBudget(snLines.map(({ maxClients }) => maxClients)));
    lines.push(...room.mqttSnLinesBudget(snLines.map(({ messageBytesMax }) => messageBytesMax)));
  }
  const dtls = listeners.flatMap(({ coap }) => coap?.dtls ?? []);
  if (dtls.length > 0) {
    const identities = identitiesOf(dtls);
    const named = identities.filter(({ identity, name }) => name !== pskName(identity)).length;
    lines.push(...(await import("../transport/dtls/budget.ts")).budget(dtls, identities.length, named));
  }
  if (frameLines.length > 0) lines.push(...(await import("./frame-lines.ts")).serialBudget(limits, frameLines));
  const mappings = frameLines.flatMap(({ mapping }) => mapping ?? []);
  if (mappings.length > 0) lines.push(...(await import("./mapping-room.ts")).mappingBudget(limits, mappings));
  if (coapLines.length > 0) {
    const messageBytesMax = coapLines.map((line) => line.messageBytesMax);
    lines.push(...(await import("./coap-listeners.ts")).coapLinesBudget(messageBytesMax));
  }
  if (modbus.length > 0) lines.push(...(await import("./modbus-lines.ts")).modbusBudget(modbus));
  if (uplinks.length > 0)
    lines.push(...(await import("./uplink-rooms.ts")).uplinkBudget(limits, uplinks, memoryLimitBytes));
  return lines;
}

function policiesOf({ spool }: UplinkConfig): WhenFull[] {
  return [spool.whenFull, ...spool.priorities.map(({ whenFull }) => whenFull)];
}

function usersOf({ auth: { passwordFile } }: Config): number | null {
  if (passwordFile === null) return null;
  let records = 0;
  for (const { password, scram } of parsePasswordFile(readSmallFile(passwordFile), passwordFile, []).values())
    records += (password === null ? 0 : 1) + (scram === null ? 0 : 1);
  return records;
}

function identitiesOf(listeners: readonly DtlsServerConfig[]): PskEntry[] {
  const files = listeners.flatMap(({ pskFile }) => pskFile ?? []);
  return files.flatMap((file) => [...parsePskFile(readSmallFile(file), file, []).values()]);
}

function rulesOf({ auth: { aclFile } }: Config): number | null {
  return aclFile === null ? null : parseAclFile(readSmallFile(aclFile), aclFile, []).size;
}
