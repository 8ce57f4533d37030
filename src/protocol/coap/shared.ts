/** What all CoAP listeners of a gateway have in common; made with the first of them. */
import type { Line } from "../../config/budget.ts";
import { type ConnectionParts, ConnectionTable, budget as connectionsBudget } from "./connection/connection-table.ts";

export type SharedParts = ConnectionParts;

export class CoapShared {
  readonly connections: ConnectionTable;

  constructor(parts: SharedParts) {
    this.connections = new ConnectionTable(parts);
  }

  stop(): void {
    this.connections.stop();
  }
}

/** Worst case of it, however many listeners there are. */
export function sharedBudget(): Line[] {
  return [connectionsBudget()];
}
