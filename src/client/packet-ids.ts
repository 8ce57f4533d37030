/** Packet ids of one session: each is taken by one exchange until that is over [MQTT5-2.2.1-3]. */
const PACKET_IDS = 65_535;

export class PacketIds {
  readonly #taken = new Set<number>();
  #last = 0;

  /** @returns 0 when all are taken */
  take(): number {
    if (this.#taken.size === PACKET_IDS) return 0;
    do this.#last = (this.#last % PACKET_IDS) + 1;
    while (this.#taken.has(this.#last));
    this.#taken.add(this.#last);
    return this.#last;
  }

  give(id: number): void {
    this.#taken.delete(id);
  }
}
