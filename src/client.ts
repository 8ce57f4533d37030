/**
 * The library's door to MQTT as a client: `import { connect } from "sluice/client"`.
 *
 *     const client = await connect({ url: "mqtts://broker.example.com", userName: "gw-17", password });
 *     await client.subscribe("cmd/#", { qos: 1 });
 *     await client.publish("hello", "world", { qos: 1 });        // resolves when the server has it
 *     for await (const { topic, payload } of client.messages) {  // each is acknowledged when the next is asked for
 *       ...
 *     }
 *     await client.close();
 *
 * MQTT 5.0 and 3.1.1, over TCP and TLS. One connection: it does not connect again by itself, and nothing is stored.
 */
export {
  Client,
  ClientError,
  type ConnectOptions,
  connect,
  type PublishOptions,
  type ReceivedMessage,
  type SubscribeOptions,
} from "./uplink/plain-client.ts";
