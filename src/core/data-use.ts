/** What an uplink with a data cap has used of it: what the store keeps, and the part of the store that does. */

export interface DataUse {
  /** Bytes on the link since the period began. */
  readonly sent: number;
  readonly received: number;
  /** Unix ms at which the period ends; 0 = not known, as no clock was set yet. */
  readonly endMs: number;
  /** What a set clock showed last, and the stamp of that moment; both 0 = none was set yet. */
  readonly wallMs: number;
  readonly stampMs: number;
  /** What of it was told: 0 = nothing, 1 = that much is used, 2 = that all is. */
  readonly told: number;
}

export interface UseStore {
  /** null = nothing is known of this uplink. */
  load(uplink: string): DataUse | null;
  /** It goes with the next transaction, which costs nothing more. */
  put(uplink: string, use: DataUse): void;
  /** Bytes that were put and are in no transaction yet. */
  unsaved(uplink: string): number;
  /** There is to be a transaction soon, if only for what was put. */
  save(): void;
}
