/**
 * The library's door to MQTT as a client: `import { connect } from "sluice/client"`.
 *
 *     await using client = await connect({ url: "mqtts://broker.example.com", userName: "gw-17", password });
 *     await client.subscribe("cmd/#", { qos: 1 });
 *     await client.publish("hello", "world", { qos: 1 });        // resolves when the server has it
 *     for await (const { topic, payload } of client.messages) {  // each is acknowledged when the next is asked for
 *       ...
 *     }
 *
 * MQTT 5.0, 3.1.1 and 3.1 over TCP, TLS, WebSocket and unix sockets. Connects again and subscribes again by itself;
 * nothing is stored.
 */
export type {
  Client,
  ClientEvent,
  ConnectOptions,
  Granted,
  MessageProperties,
  PublishOptions,
  PublishResult,
  ReceivedMessage,
  ReconnectOptions,
  ServerInfo,
  SubscribeOptions,
  TlsFiles,
  Will,
} from "./client/api.ts";
export { connect } from "./client/connect.ts";
export { ClientError, type ClientErrorCode } from "./client/error.ts";
