/** What uplinks have used of their data caps, in the state of the log's row, which costs nothing as it is written anyway. */
import type { DataUse, UseStore } from "../core/data-use.ts";
import type { Health } from "./health.ts";
import type { LogState } from "./log-state.ts";

export class Uses implements UseStore {
  readonly #logState: LogState;
  readonly #health: Health;
  readonly #save: () => void;

  /** @param save has the log's row written soon */
  constructor(logState: LogState, health: Health, save: () => void) {
    this.#logState = logState;
    this.#health = health;
    this.#save = save;
  }

  load(uplink: string): DataUse | null {
    return this.#logState.use(uplink);
  }

  put(uplink: string, use: DataUse): void {
    this.#logState.putUse(uplink, use);
  }

  unsaved(uplink: string): number {
    return this.#logState.unencodedUse(uplink);
  }

  save(): void {
    if (this.#health.state === "ok") this.#save();
  }
}
