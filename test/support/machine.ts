// A machine whose serial adapters the test plugs in: the kernel's list of ttys and /dev, as a process sees them that is
// started in a mount namespace of its own. Needs root.
import { chmodSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerPath } from "./peers.ts";

/** $1 = the machine's folder; the rest is what is started. */
const ENTER = `
  for name in null zero random urandom ptmx; do : > "$1/dev/$name"; mount --bind /dev/$name "$1/dev/$name"; done
  mount --rbind /dev/pts "$1/dev/pts"
  mount --bind "$1/sys/class/tty" /sys/class/tty
  mount --rbind "$1/dev" /dev
  shift
  exec "$@"
`;

export class Machine {
  readonly #root: string;

  constructor(folder: string) {
    this.#root = mkdtempSync(join(folder, "machine-"));
    chmodSync(this.#root, 0o755);
    for (const path of ["dev/pts", "dev/serial/by-id", "sys/class/tty", "sys/devices"]) {
      mkdirSync(join(this.#root, path), { recursive: true });
    }
  }

  /** What takes a command to start it there. */
  get command(): readonly string[] {
    return [peerPath("unshare"), "-m", "sh", "-e", "-c", ENTER, "sh", this.#root];
  }

  /**
   * Plugs a USB adapter in.
   * @param name     as the kernel calls it now: "ttyUSB0"
   * @param serial   its serial number
   * @param terminal what it is in truth: a link to a pseudo terminal
   */
  plug(name: string, serial: string, terminal: string): void {
    const usb = join(this.#root, "sys/devices", name, "1-2");
    const tty = join(usb, "1-2:1.0", name);
    mkdirSync(tty, { recursive: true });
    const files = { idVendor: "0403", idProduct: "6001", serial, product: "FT232R USB UART" };
    for (const [file, text] of Object.entries(files)) writeFileSync(join(usb, file), `${text}\n`);
    writeFileSync(join(usb, "1-2:1.0/bInterfaceNumber"), "00\n");
    symlinkSync("/sys/bus/usb-serial/drivers/ftdi_sio", join(tty, "driver"));
    symlinkSync(readlinkSync(terminal), join(this.#root, "dev", name));
    symlinkSync(`../../${name}`, this.#byId(serial));
    mkdirSync(join(this.#root, "sys/class/tty", name));
    symlinkSync(tty, join(this.#root, "sys/class/tty", name, "device"));
  }

  unplug(name: string, serial: string): void {
    for (const path of [`sys/class/tty/${name}`, `dev/${name}`, `sys/devices/${name}`]) {
      rmSync(join(this.#root, path), { recursive: true });
    }
    rmSync(this.#byId(serial));
  }

  /** Below /dev, as a process there sees it. */
  byId(serial: string): string {
    return join("/dev", this.#byId(serial).slice(join(this.#root, "dev").length));
  }

  #byId(serial: string): string {
    return join(this.#root, "dev/serial/by-id", `usb-FTDI_FT232R_USB_UART_${serial}-if00-port0`);
  }
}
