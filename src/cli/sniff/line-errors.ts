/** What the driver of a device counts as wrong on the wire. */
import type { LineErrors, SerialStream } from "../../transport/serial/stream.ts";

/** What the driver of a device counts; null = it does not. */
export function errorsOf(stream: SerialStream | null): LineErrors | null {
  return stream?.facts().driver?.errors ?? null;
}

/** Of all openings. */
export function sumOf(a: LineErrors | null, b: LineErrors | null): LineErrors | null {
  if (a === null || b === null) return a ?? b;
  return {
    framing: a.framing + b.framing,
    parity: a.parity + b.parity,
    overrun: a.overrun + b.overrun,
    bufferOverrun: a.bufferOverrun + b.bufferOverrun,
    break: a.break + b.break,
  };
}

/** "12 framing errors, 1 break"; "" = none. @see linux/serial.h, struct serial_icounter_struct */
export function errorWords({ framing, parity, overrun, bufferOverrun, break: breaks }: LineErrors): string {
  const counts: [number, string][] = [
    [framing, "framing error"],
    [parity, "parity error"],
    [overrun, "byte lost in the hardware"],
    [bufferOverrun, "byte lost in the driver"],
    [breaks, "break"],
  ];
  return counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${count === 1 ? what : what.replace(/error$|break$|^byte/, "$&s")}`)
    .join(", ");
}
