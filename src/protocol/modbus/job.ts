/** What the master does with its bus: a read of a poll group, a write of a command. */
import type { Request } from "../../wire/modbus/request.ts";
import type { Slave } from "./slave.ts";

/** Instead of an exception code: nothing came, also not when asked again. */
export const SILENT = -1;

export interface Job {
  readonly slave: Slave;
  fill(request: Request): void;
  /**
   * The PDU that answers it is `bytes[from..end)`, valid until return; empty after a broadcast.
   * @returns false when there is more to ask at once: `fill` says what
   */
  onAnswer(bytes: Buffer, from: number, end: number, nowMs: number): boolean;
  /** @param code an exception code, or SILENT */
  onFailure(code: number, nowMs: number): void;
  /** The port went away meanwhile. Absent: its giver knows. */
  onLost?(): void;
}
