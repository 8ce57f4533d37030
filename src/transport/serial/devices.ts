/**
 * The serial devices of this machine, as sysfs and /dev/serial tell of them.
 *
 *     /sys/class/tty/ttyUSB0/device -> .../usb1/1-2/1-2:1.0/ttyUSB0     its driver, the port
 *                                      .../usb1/1-2/1-2:1.0             bInterfaceNumber
 *                                      .../usb1/1-2                     idVendor, idProduct, serial, product
 */
import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type MatchedPlace, placeText } from "../../config/serial-port.ts";

export interface UsbIdentity {
  /** Four hexadecimal digits, as is `product`. */
  readonly vendor: string;
  readonly product: string;
  readonly serial: string | null;
  readonly interface: number | null;
  /** The product's name. */
  readonly words: string | null;
}

export interface SerialDeviceEntry {
  readonly path: string;
  /** Its stable name below /dev/serial/by-id; below by-path: by the socket that it is plugged into. */
  readonly byId: string | null;
  readonly byPath: string | null;
  readonly usb: UsbIdentity | null;
  readonly driver: string | null;
}

/** Folders from the port up to the USB device, with some room for hubs' and drivers' own. */
const LEVELS_MAX = 6;

/** @param root what stands before /sys and /dev */
export async function serialDevices(root = "/"): Promise<SerialDeviceEntry[]> {
  const classFolder = join(root, "sys/class/tty");
  const names = await entries(classFolder);
  const links = { byId: await linksIn(root, "by-id"), byPath: await linksIn(root, "by-path") };
  const devices = await Promise.all(names.map((name) => deviceOf(root, join(classFolder, name), name, links)));
  return devices
    .filter((device) => device !== null)
    .sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
}

/** @returns the path of the one device that it means @throws Error when there is none, or more than one */
export async function pathOf(place: MatchedPlace, root = "/"): Promise<string> {
  const found = (await serialDevices(root)).filter((device) => matches(place, device));
  const [first, second] = found;
  if (first === undefined) throw new Error(`no device is ${placeText(place)}`);
  if (second === undefined) return first.path;
  const paths = found.map(({ path }) => path).join(", ");
  throw new Error(`${paths} are ${placeText(place)}: give serial or interface, too`);
}

function matches(place: MatchedPlace, { usb }: SerialDeviceEntry): boolean {
  if (usb === null) return false;
  if (place.vendor !== null && place.vendor !== usb.vendor) return false;
  if (place.product !== null && place.product !== usb.product) return false;
  if (place.serial !== null && place.serial !== usb.serial) return false;
  return place.interface === null || place.interface === usb.interface;
}

/** @returns null for what has no device behind it: consoles, pseudo terminals, the 8250's ports that are not there */
async function deviceOf(
  root: string,
  folder: string,
  name: string,
  links: { readonly byId: ReadonlyMap<string, string>; readonly byPath: ReadonlyMap<string, string> },
): Promise<SerialDeviceEntry | null> {
  const device = await realpath(join(folder, "device")).catch(() => null);
  if (device === null || (await word(join(folder, "type"))) === "0") return null;
  const byId = links.byId.get(name) ?? null;
  const byPath = links.byPath.get(name) ?? null;
  return { path: join(root, "dev", name), byId, byPath, usb: await usbOf(device), driver: await driverOf(device) };
}

/** Since Linux 6.5 between a UART's tty and its driver there are two devices that all UARTs have, with drivers of their own. */
async function driverOf(device: string): Promise<string | null> {
  let folder = device;
  for (let level = 0; level < LEVELS_MAX; level++, folder = dirname(folder)) {
    const link = await readlink(join(folder, "driver")).catch(() => null);
    if (link === null && level === 0) return null;
    if (link !== null && !link.includes("/serial-base/")) return basename(link);
  }
  return null;
}

async function usbOf(device: string): Promise<UsbIdentity | null> {
  let interfaceNumber: number | null = null;
  let folder = device;
  for (let level = 0; level < LEVELS_MAX; level++) {
    const number = await word(join(folder, "bInterfaceNumber"));
    if (number !== null) interfaceNumber = Number.parseInt(number, 16);
    const vendor = await word(join(folder, "idVendor"));
    const product = await word(join(folder, "idProduct"));
    if (vendor !== null && product !== null) {
      const [serial, words] = await Promise.all([word(join(folder, "serial")), word(join(folder, "product"))]);
      return { vendor, product, serial, interface: interfaceNumber, words };
    }
    folder = dirname(folder);
  }
  return null;
}

/** Names below /dev/serial/by-id or by-path, by the device they lead to. */
async function linksIn(root: string, kind: "by-id" | "by-path"): Promise<Map<string, string>> {
  const folder = join(root, "dev/serial", kind);
  const links = new Map<string, string>();
  for (const name of await entries(folder)) {
    const target = await readlink(join(folder, name)).catch(() => null);
    if (target !== null) links.set(basename(target), join(folder, name));
  }
  return links;
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

/** What the file says, without the line's end; null when it says nothing or is not there. */
async function word(file: string): Promise<string | null> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trim() || null;
}
