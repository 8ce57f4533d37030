/**
 * PUBLISH at QoS -1 from senders that are not connected: to predefined topics and short names alone, and as whoever has no
 * name may. Nothing is answered.
 *
 * @see MQTT-SN 1.2 section 6.8
 */
import type { LoginWaiter, Principal } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { addressAndPort, isLoopback } from "../../transport/peer-address.ts";
import { FLAG_RETAIN } from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { STRANGERS_MAX } from "./limits.ts";
import { publishOfStranger } from "./on-publish.ts";
import type { Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";
import { commonTopic } from "./topic-ids.ts";

export class Strangers {
  readonly #server: MqttSnServer;
  /** Of whom it is not decided yet whether they may. */
  #waiting = 0;

  constructor(server: MqttSnServer) {
    this.#server = server;
  }

  onPublish(bytes: Buffer, view: MessageView, { address, port }: Peer): void {
    const server = this.#server;
    const topic = commonTopic(server.options.predefined, view.topicType, view.topicId);
    if (topic === null || this.#waiting >= STRANGERS_MAX) {
      server.count(topic === null ? "unknown_topic" : "strangers_full");
      return;
    }
    server.publishesReceived.value++;
    const p = new Publication();
    const payload = bytes.subarray(view.restAt, view.restEnd);
    p.setParts(topic, payload, 0, (view.flags & FLAG_RETAIN) !== 0);
    const { anonymous, user } = server.options;
    if (user !== undefined) {
      publishOfStranger(server, { name: user, clientId: user }, p);
      return;
    }
    this.#waiting++;
    const waiter: LoginWaiter = { onLogin: (principal) => this.#onLogin(principal, p) };
    const clientId = `mqtt-sn:${addressAndPort(address, port)}`;
    const login = { clientId, userName: null, password: null, certificateName: null, loopback: isLoopback(address) };
    server.parts.authority.authenticate({ ...login, anonymous }, waiter);
  }

  #onLogin(principal: Principal | null, p: Publication): void {
    this.#waiting--;
    if (principal === null) this.#server.count("not_authorized");
    else publishOfStranger(this.#server, principal, p);
  }
}
