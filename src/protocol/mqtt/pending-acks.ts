/**
 * Acknowledgements that a connection owes, in order of arrival. An answer may become ready early (a full queue) or
 * late (the store); it leaves when all before it have left ([MQTT311-4.6.0-2], [MQTT311-4.6.0-3]).
 *
 *     first                    next
 *       v                       v
 *     | ready | waits | ready |          index = token & mask
 *       leaves   holds back
 */
const WAITS = 0xffff;
const RING_MIN = 8;
const NO_TYPES = new Uint8Array(0);
const NO_WORDS = new Uint16Array(0);

export class PendingAcks {
  /** Token of the oldest acknowledgement owed. */
  first = 0;
  /** Token the next one gets. */
  next = 0;
  // The ring is made with the first acknowledgement.
  #mask = -1;
  #types = NO_TYPES;
  #packetIds = NO_WORDS;
  #reasons = NO_WORDS;

  get count(): number {
    return this.next - this.first;
  }

  /** @param type packet type of the answer  @returns its token */
  push(type: number, packetId: number): number {
    if (this.count > this.#mask) this.#grow();
    const token = this.next++;
    const i = token & this.#mask;
    this.#types[i] = type;
    this.#packetIds[i] = packetId;
    this.#reasons[i] = WAITS;
    return token;
  }

  /** Takes back the newest: its packet is held and will be looked at again. */
  pop(): void {
    this.next--;
  }

  /** The first word on a token counts. */
  resolve(token: number, reason: number): void {
    const i = token & this.#mask;
    if (this.#reasons[i] === WAITS) this.#reasons[i] = reason;
  }

  /** Whether the oldest may leave. */
  get ready(): boolean {
    return this.first < this.next && this.#reasons[this.first & this.#mask] !== WAITS;
  }

  isOpen(token: number): boolean {
    return token >= this.first && token < this.next;
  }

  /** Whether an answer of `type` for `packetId` still waits; then it gets `reason`. */
  refuse(type: number, packetId: number, reason: number): boolean {
    let found = false;
    for (let token = this.first; token < this.next; token++) {
      if (this.typeOf(token) !== type || this.packetIdOf(token) !== packetId || this.reasonOf(token) !== WAITS)
        continue;
      this.resolve(token, reason);
      found = true;
    }
    return found;
  }

  typeOf(token: number): number {
    return this.#types[token & this.#mask] as number;
  }

  packetIdOf(token: number): number {
    return this.#packetIds[token & this.#mask] as number;
  }

  reasonOf(token: number): number {
    return this.#reasons[token & this.#mask] as number;
  }

  shift(): void {
    this.first++;
  }

  #grow(): void {
    const size = Math.max((this.#mask + 1) * 2, RING_MIN);
    const types = new Uint8Array(size);
    const packetIds = new Uint16Array(size);
    const reasons = new Uint16Array(size);
    for (let token = this.first; token < this.next; token++) {
      const from = token & this.#mask;
      const to = token & (size - 1);
      types[to] = this.#types[from] as number;
      packetIds[to] = this.#packetIds[from] as number;
      reasons[to] = this.#reasons[from] as number;
    }
    this.#mask = size - 1;
    this.#types = types;
    this.#packetIds = packetIds;
    this.#reasons = reasons;
  }
}
