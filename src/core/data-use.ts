/** What an uplink with a data cap has used of it: what the store keeps, and the part of the store that does. */
import type { StoreHealth } from "./ports.ts";

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
  readonly health: StoreHealth;
  /** null = nothing is known of this uplink. */
  loadUse(uplink: string): DataUse | null;
  /** It goes with the next transaction, which costs nothing more. @param alone one is made for it */
  putUse(uplink: string, use: DataUse, alone: boolean): void;
  /** Bytes that were put and are in no transaction yet. */
  unsavedUse(uplink: string): number;
}
