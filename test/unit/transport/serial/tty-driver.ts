/** The tty addon, without a tty, and the settings of a line. */
import type { LineSettings } from "../../../../src/config/serial-port.ts";
import { RS485_LINE } from "../../../../src/config/serial-rs485.ts";
import type { TtyAddon } from "../../../../src/native/tty/binding.ts";

/** As a configuration that names its port alone has them. */
export const SETTINGS: LineSettings = {
  baud: 115_200,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
  flow: "none",
  rs485: "none",
  rs485Line: RS485_LINE,
  lowLatency: false,
  keepAliveMs: 15_000,
};

/** A driver that does all it is asked, but for what `instead` does. */
export function driver(instead: Partial<TtyAddon> = {}): TtyAddon & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    setLine: (_fd, baud, dataBits, parity, two) => {
      asked.push(`line ${dataBits} ${parity} ${two}`);
      return baud;
    },
    setRs485: (_fd, words) => {
      asked.push(`rs485 ${words.join(" ")}`);
      return 0;
    },
    getRs485: () => 0,
    setLowLatency: () => {
      asked.push("low latency");
      return 0;
    },
    isExclusive: () => 0,
    outputBytes: () => 0,
    discardOutput: () => 0,
    modemLines: () => 0x20,
    counts: () => 0,
    ...instead,
  };
}
