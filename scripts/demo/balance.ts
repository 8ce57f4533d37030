/**
 * Who said what to whom: every message is known by its source and sequence number from the device to the cloud.
 * A message is owed once its device has an acknowledgement; from a device that gets none (a serial line), once sent.
 */
export interface SourceBalance {
  readonly source: string;
  readonly speaks: string;
  readonly sent: number;
  /** Null for a device that gets no acknowledgements. */
  readonly acknowledged: number | null;
  /** Answered with a refusal, or not at all. */
  readonly refused: number;
  /** Different messages that the cloud has. */
  readonly received: number;
  /** Owed, and not at the cloud. */
  readonly lost: number;
  /** Deliveries to the cloud beyond the first of each message. */
  readonly duplicates: number;
}

interface Account {
  readonly speaks: string;
  readonly acknowledges: boolean;
  /** By sequence number. */
  readonly owed: boolean[];
  readonly received: number[];
  refused: number;
}

export class Balance {
  readonly #accounts = new Map<string, Account>();
  #owed = 0;
  #received = 0;
  #missing = 0;

  open(source: string, speaks: string, acknowledges: boolean): void {
    this.#accounts.set(source, { speaks, acknowledges, owed: [], received: [], refused: 0 });
  }

  /** Notes that `source` sends a message. Returns its sequence number, from 0. */
  send(source: string): number {
    const account = this.#accountOf(source);
    const sequence = account.received.push(0) - 1;
    account.owed.push(false);
    if (!account.acknowledges) this.#owe(account, sequence);
    return sequence;
  }

  acknowledge(source: string, sequence: number): void {
    this.#owe(this.#accountOf(source), sequence);
  }

  refuse(source: string): void {
    this.#accountOf(source).refused++;
  }

  /** Notes a delivery to the cloud; false when no such message was sent. */
  receive(source: string, sequence: number): boolean {
    const account = this.#accounts.get(source);
    const before = account?.received[sequence];
    if (account === undefined || before === undefined) return false;
    account.received[sequence] = before + 1;
    if (before > 0) return true;
    this.#received++;
    if (account.owed[sequence]) this.#missing--;
    return true;
  }

  /** Messages owed so far. */
  get owed(): number {
    return this.#owed;
  }

  /** Different messages at the cloud. */
  get received(): number {
    return this.#received;
  }

  /** Owed and not yet at the cloud; what is left of them in the end is lost. */
  get missing(): number {
    return this.#missing;
  }

  rows(): SourceBalance[] {
    return [...this.#accounts].map(([source, account]) => {
      const received = account.received.filter((times) => times > 0).length;
      const owed = account.owed.filter(Boolean).length;
      return {
        source,
        speaks: account.speaks,
        sent: account.received.length,
        acknowledged: account.acknowledges ? owed : null,
        refused: account.refused,
        received,
        lost: account.owed.filter((isOwed, sequence) => isOwed && account.received[sequence] === 0).length,
        duplicates: account.received.reduce((sum, times) => sum + times, 0) - received,
      };
    });
  }

  #owe(account: Account, sequence: number): void {
    if (account.owed[sequence] !== false) return;
    account.owed[sequence] = true;
    this.#owed++;
    if (account.received[sequence] === 0) this.#missing++;
  }

  #accountOf(source: string): Account {
    const account = this.#accounts.get(source);
    if (account === undefined) throw new Error(`no account for ${source}`);
    return account;
  }
}
