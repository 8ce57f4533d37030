/** `sluice serial list`: the serial devices of this machine, and which of them the running gateway has open. */
import { realpathSync } from "node:fs";
import { controlSocket } from "../config/names.ts";
import { type SerialDeviceEntry, serialDevices } from "../transport/serial/devices.ts";
import { problemWith } from "../transport/serial/port-access.ts";
import { openers, type PortHolder } from "../transport/serial/port-holder.ts";
import { OK, parse, say, sayError } from "./arguments.ts";
import { askControl } from "./control.ts";
import { printable } from "./printable.ts";
import type { SerialStatus } from "./serial-text.ts";
import { dataDirOf } from "./where.ts";

export async function serialList(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const dataDir = await dataDirOf(values.config, values["data-dir"]);
  const devices = listed(await serialDevices(), await portsOf(dataDir));
  const openBy = openers(new Set(devices.map(({ path }) => path)));
  const listing = devices.map((device) => seen(device, openBy.get(device.path) ?? null, problemWith(device.path)));
  if (values.json) say(JSON.stringify(listing));
  else if (listing.length === 0) sayError(NONE);
  else say(listing.map(lineOf).join("\n"));
  return OK;
}

const NONE =
  "no serial device is here (/sys/class/tty lists none; a container has to be given one, docker run --device)";

export interface ListedDevice extends SerialDeviceEntry {
  /** Name of the gateway's line that has it open; null = none. */
  readonly openAs: string | null;
  /** The gateway's line that would have it open, and why it has not; null = there is none. */
  readonly awayAs: { readonly name: string; readonly error: string | null } | null;
}

/** A device as a person finds it now. */
export interface SeenDevice extends ListedDevice {
  /** Another program that has it open; null = none that we can see. */
  readonly openBy: PortHolder | null;
  /** Why it cannot be opened from here; null = it can, or is open. */
  readonly problem: string | null;
}

export function seen(device: ListedDevice, openBy: PortHolder | null, problem: string | null): SeenDevice {
  return device.openAs === null ? { ...device, openBy, problem } : { ...device, openBy: null, problem: null };
}

/** Devices of this machine, with those that the gateway has open and sysfs does not know (pseudo terminals). */
export function listed(devices: readonly SerialDeviceEntry[], ports: readonly SerialStatus[]): ListedDevice[] {
  const open = new Map<string, string>();
  const away = new Map<string, { name: string; error: string | null }>();
  for (const port of ports) {
    const { name, error } = port;
    if (port.open && port.device !== null) open.set(realPath(port.device), name);
    else if (!port.open && port.port.startsWith("/")) away.set(realPath(port.port), { name, error });
  }
  const known = devices.map((device): ListedDevice => {
    const path = realPath(device.path);
    return { ...device, openAs: open.get(path) ?? null, awayAs: away.get(path) ?? null };
  });
  for (const { path } of devices) open.delete(realPath(path));
  const nothing = { byId: null, byPath: null, usb: null, driver: null, awayAs: null };
  return [...known, ...[...open].map(([path, openAs]) => ({ path, ...nothing, openAs }))];
}

/** A gateway that does not run, or is not to be asked, has none open. */
async function portsOf(dataDir: string): Promise<readonly SerialStatus[]> {
  try {
    const answer = (await askControl(controlSocket(dataDir), { verb: "status" })) as { serial?: SerialStatus[] };
    return answer.serial ?? [];
  } catch {
    return [];
  }
}

/** "/dev/ttyUSB0  0403:6001 serial A1 interface 0 (FT232R)  ftdi_sio  open as meter  /dev/serial/by-id/..." */
export function lineOf({ path, byId, byPath, usb, driver, openAs, awayAs, openBy, problem }: SeenDevice): string {
  const columns = [path];
  if (usb !== null) {
    const serial = usb.serial === null ? "" : ` serial ${usb.serial}`;
    const number = usb.interface === null ? "" : ` interface ${usb.interface}`;
    columns.push(`${usb.vendor}:${usb.product}${serial}${number}${usb.words === null ? "" : ` (${usb.words})`}`);
  }
  if (driver !== null) columns.push(driver);
  if (openAs !== null) columns.push(`open as ${openAs}`);
  if (awayAs !== null) columns.push(`away as ${awayAs.name}${awayAs.error === null ? "" : `: ${awayAs.error}`}`);
  if (openBy !== null)
    columns.push(`open by process ${openBy.pid}${openBy.program === "" ? "" : ` (${openBy.program})`}`);
  if (problem !== null) columns.push(problem);
  // Adapters without a serial number share one name by id; their place tells them apart.
  if (byId !== null) columns.push(byId);
  if (byPath !== null && (usb === null || usb.serial === null)) columns.push(byPath);
  return printable(columns.join("  "));
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
