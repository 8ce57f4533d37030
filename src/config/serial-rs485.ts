/** `serial[].rs485`: who switches the transmitter of a two-wire line, and how. */
import type { Section } from "./section.ts";

const RS485_MODES = ["none", "rts", "driver", "auto"] as const;

/**
 * Nobody here; the gateway by RTS; the kernel's driver, which has to be able to; the driver where it is able to, else
 * the gateway.
 */
export type Rs485Mode = (typeof RS485_MODES)[number];

export interface Rs485Line {
  /** RTS is on while sending; false = off while sending and on otherwise. */
  readonly rtsOnSend: boolean;
  /** Between the switch and the first byte, and between the last and the switch. */
  readonly delayBeforeMs: number;
  readonly delayAfterMs: number;
  /** Of the driver alone: hear what is sent; switch the terminating resistor in. */
  readonly rxDuringTx: boolean;
  readonly terminate: boolean;
}

export interface Rs485Settings {
  readonly rs485: Rs485Mode;
  readonly rs485Line: Rs485Line;
}

export const RS485_LINE: Rs485Line = {
  rtsOnSend: true,
  delayBeforeMs: 0,
  delayAfterMs: 0,
  rxDuringTx: false,
  terminate: false,
};

/** The kernel's own limit. */
const DELAY_MS_MAX = 100;

/** A mode, or a mapping of it and its details. */
export function readRs485(section: Section): Rs485Settings {
  if (!section.has("rs485") || section.source("rs485") !== null) {
    return { rs485: section.oneOf("rs485", RS485_MODES, "none"), rs485Line: RS485_LINE };
  }
  const inner = section.section("rs485");
  if (inner === null) return { rs485: "none", rs485Line: RS485_LINE };
  const mode = inner.oneOf("mode", RS485_MODES, "auto");
  const delay = (key: string): number => inner.duration(key, 0, 0, DELAY_MS_MAX);
  const rs485Line: Rs485Line = {
    rtsOnSend: inner.flag("rts_on_send", true),
    delayBeforeMs: delay("delay_before"),
    delayAfterMs: delay("delay_after"),
    rxDuringTx: inner.flag("rx_during_tx", false),
    terminate: inner.flag("terminate", false),
  };
  for (const key of ["rx_during_tx", "terminate"]) {
    if (mode === "rts" && inner.has(key)) inner.complain(key, "is the driver's alone", "use mode: driver or auto");
  }
  inner.finish();
  return { rs485: mode, rs485Line };
}
