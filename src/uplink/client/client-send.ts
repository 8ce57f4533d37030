/** Packets on their way to the server, but for PUBLISH (publish-out.ts). Each only while CONNECTED. */
import { MQTT_5 } from "../../wire/mqtt/codes.ts";
import type { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { encodeSubscribe, type SubscriptionRequest } from "../../wire/mqtt/subscribe.ts";
import { encodeUnsubscribe } from "../../wire/mqtt/unsubscribe.ts";
import type { MqttClient } from "./client.ts";

/** Fixed Header, packet id and property length. */
const FIXED_BYTES = 16;

/** @param properties for 5.0; null = none  @returns false when a filter is too long; nothing is sent */
export function sendSubscribe(
  client: MqttClient,
  packetId: number,
  requests: readonly SubscriptionRequest[],
  properties: PropertiesWriter | null = null,
): boolean {
  const { output } = client;
  let bytes = FIXED_BYTES + (properties?.length ?? 0);
  for (const request of requests) bytes += 3 + Buffer.byteLength(request.filter);
  const at = output.reserve(bytes);
  const version = client.server?.version ?? MQTT_5;
  const end = encodeSubscribe(output.buffer, at, version, packetId, requests, properties);
  if (end >= 0) output.commit(end);
  return end >= 0;
}

/** @returns false when a filter is too long; nothing is sent */
export function sendUnsubscribe(client: MqttClient, packetId: number, filters: readonly string[]): boolean {
  const { output } = client;
  let bytes = FIXED_BYTES;
  for (const filter of filters) bytes += 2 + Buffer.byteLength(filter);
  const at = output.reserve(bytes);
  const version = client.server?.version ?? MQTT_5;
  const end = encodeUnsubscribe(output.buffer, at, version, packetId, filters, null);
  if (end >= 0) output.commit(end);
  return end >= 0;
}
