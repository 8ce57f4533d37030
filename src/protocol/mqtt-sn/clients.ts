/** The clients of one listener: by where they are and by their ids; who makes room for one more when it is full. */
import type { Counter } from "../../base/counters.ts";
import { Client } from "./client.ts";
import { SILENT_MS } from "./limits.ts";
import type { Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";

export class Clients {
  readonly #server: MqttSnServer;
  readonly #byKey = new Map<string, Client>();
  /** Those that have a session. */
  readonly #byId = new Map<string, Client>();
  /** Those that have said nothing since CONNECT, in the order of it: whoever forges addresses leaves such behind. */
  readonly #silent = new Set<Client>();
  readonly #count: Counter;

  constructor(server: MqttSnServer) {
    this.#server = server;
    this.#count = server.parts.counters.counter("mqtt_sn.clients");
  }

  get count(): number {
    return this.#byKey.size;
  }

  at(key: string): Client | null {
    return this.#byKey.get(key) ?? null;
  }

  named(clientId: string): Client | null {
    return this.#byId.get(clientId) ?? null;
  }

  all(): Client[] {
    return [...this.#byKey.values()];
  }

  /** Whether one more may come. Who has been silent since its CONNECT, the longest and long enough, makes room. */
  hasRoom(): boolean {
    if (this.#byKey.size < this.#server.options.clientsMax) return true;
    const nowMs = this.#server.parts.time.nowMs();
    for (const oldest of this.#silent) {
      if (!this.isCurrent(oldest)) continue; // it connects again, and has no place of its own
      if (nowMs - oldest.connectedMs < SILENT_MS) return false;
      oldest.lose("made_room");
      return true;
    }
    return false;
  }

  /** Its CONNECT has come. In the place of whoever was there. */
  add(peer: Peer): Client {
    const client = new Client(this.#server, peer);
    if (!this.#byKey.has(peer.key)) this.#count.value++;
    this.#byKey.set(peer.key, client);
    this.#silent.add(client);
    return client;
  }

  /** It has a session. */
  name(client: Client, clientId: string): void {
    this.#byId.set(clientId, client);
  }

  /** It has said something after its CONNECT. */
  heard(client: Client): void {
    this.#silent.delete(client);
  }

  /** It is somewhere else now, where nobody is. */
  move(client: Client, peer: Peer): void {
    this.#byKey.delete(client.peer.key);
    client.peer = peer;
    this.#byKey.set(peer.key, client);
  }

  remove(client: Client, clientId: string | null): void {
    this.#silent.delete(client);
    if (clientId !== null && this.#byId.get(clientId) === client) this.#byId.delete(clientId);
    if (!this.isCurrent(client)) return;
    this.#byKey.delete(client.peer.key);
    this.#count.value--;
  }

  isCurrent(client: Client): boolean {
    return this.#byKey.get(client.peer.key) === client;
  }
}
