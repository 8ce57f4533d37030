/** What every serial line needs, loaded in one piece with the first of them (uplink-rooms.ts says why). */
export { budget as serialBudget, SerialLine } from "../protocol/serial/serial-line.ts";
export { SerialPort } from "../transport/serial-port.ts";
