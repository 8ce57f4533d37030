import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import type { MatchedPlace } from "../../../../src/config/serial-port.ts";
import { pathOf, serialDevices } from "../../../../src/transport/serial/devices.ts";

/** A tree like that of a kernel, below a folder of its own. */
class Tree {
  readonly root: string;

  constructor(t: TestContext) {
    this.root = mkdtempSync(join(tmpdir(), "sysfs-"));
    t.after(() => rmSync(this.root, { recursive: true }));
  }

  file(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), `${text}\n`);
  }

  link(path: string, target: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    symlinkSync(target, join(this.root, path));
  }

  /** @param port folder of the tty's device below sys/devices */
  tty(name: string, port: string, driver: string | null): void {
    mkdirSync(join(this.root, "sys/devices", port), { recursive: true });
    mkdirSync(join(this.root, "sys/class/tty", name), { recursive: true });
    this.link(`sys/class/tty/${name}/device`, join(this.root, "sys/devices", port));
    if (driver !== null) this.link(`sys/devices/${port}/driver`, `/sys/bus/usb-serial/drivers/${driver}`);
  }

  usb(folder: string, vendor: string, product: string, serial: string | null): void {
    this.file(`sys/devices/${folder}/idVendor`, vendor);
    this.file(`sys/devices/${folder}/idProduct`, product);
    this.file(`sys/devices/${folder}/product`, "FT232R USB UART");
    if (serial !== null) this.file(`sys/devices/${folder}/serial`, serial);
  }
}

/** A gateway with an on-board port, an FTDI of one port and one of two, and a modem without a serial number. */
function machine(t: TestContext): Tree {
  const tree = new Tree(t);
  tree.tty("ttyS0", "platform/serial8250/ttyS0", "serial8250");
  tree.file("sys/class/tty/ttyS0/type", "4");
  tree.tty("ttyS1", "platform/serial8250/ttyS1", "serial8250");
  tree.file("sys/class/tty/ttyS1/type", "0");
  mkdirSync(join(tree.root, "sys/class/tty/tty0"));
  tree.usb("pci/usb1/1-2", "0403", "6001", "A10K");
  tree.file("sys/devices/pci/usb1/1-2/1-2:1.0/bInterfaceNumber", "00");
  tree.tty("ttyUSB0", "pci/usb1/1-2/1-2:1.0/ttyUSB0", "ftdi_sio");
  tree.usb("pci/usb1/1-3/1-3.1", "0403", "6010", "FT2B");
  for (const [port, name] of ["ttyUSB1", "ttyUSB10"].entries()) {
    tree.file(`sys/devices/pci/usb1/1-3/1-3.1/1-3.1:1.${port}/bInterfaceNumber`, `0${port}`);
    tree.tty(name, `pci/usb1/1-3/1-3.1/1-3.1:1.${port}/${name}`, "ftdi_sio");
  }
  tree.usb("pci/usb1/1-4", "12d1", "1506", null);
  tree.file("sys/devices/pci/usb1/1-4/1-4:1.10/bInterfaceNumber", "0a");
  tree.tty("ttyACM0", "pci/usb1/1-4/1-4:1.10", "cdc_acm");
  tree.link("dev/serial/by-path/pci-usb-0:2:1.0-port0", "../../ttyUSB0");
  tree.link("dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A10K-if00-port0", "../../ttyUSB0");
  return tree;
}

test("devices are listed with what sysfs and /dev/serial/by-id say; what has no hardware is not", async (t) => {
  const { root } = machine(t);
  const words = "FT232R USB UART";
  const dev = (name: string): string => join(root, "dev", name);
  assert.deepEqual(await serialDevices(root), [
    {
      path: dev("ttyACM0"),
      byId: null,
      byPath: null,
      usb: { vendor: "12d1", product: "1506", serial: null, interface: 10, words },
      driver: "cdc_acm",
    },
    { path: dev("ttyS0"), byId: null, byPath: null, usb: null, driver: "serial8250" },
    {
      path: dev("ttyUSB0"),
      byId: dev("serial/by-id/usb-FTDI_FT232R_USB_UART_A10K-if00-port0"),
      byPath: dev("serial/by-path/pci-usb-0:2:1.0-port0"),
      usb: { vendor: "0403", product: "6001", serial: "A10K", interface: 0, words },
      driver: "ftdi_sio",
    },
    {
      path: dev("ttyUSB1"),
      byId: null,
      byPath: null,
      usb: { vendor: "0403", product: "6010", serial: "FT2B", interface: 0, words },
      driver: "ftdi_sio",
    },
    {
      path: dev("ttyUSB10"),
      byId: null,
      byPath: null,
      usb: { vendor: "0403", product: "6010", serial: "FT2B", interface: 1, words },
      driver: "ftdi_sio",
    },
  ]);
});

test("a UART's driver is behind the two devices that the kernel puts between", async (t) => {
  const tree = new Tree(t);
  tree.tty("ttyS0", "pnp0/00:00/00:00:0/00:00:0.0", null);
  tree.link("sys/devices/pnp0/00:00/00:00:0/00:00:0.0/driver", "../../../../../bus/serial-base/drivers/port");
  tree.link("sys/devices/pnp0/00:00/00:00:0/driver", "../../../../bus/serial-base/drivers/ctrl");
  tree.link("sys/devices/pnp0/00:00/driver", "../../../bus/pnp/drivers/serial");
  assert.equal((await serialDevices(tree.root))[0]?.driver, "serial");
});

test("a machine without sysfs, and one without serial devices, has none", async (t) => {
  const tree = new Tree(t);
  assert.deepEqual(await serialDevices(tree.root), []);
  mkdirSync(join(tree.root, "sys/class/tty/tty0"), { recursive: true });
  assert.deepEqual(await serialDevices(tree.root), []);
});

const ANY: MatchedPlace = { kind: "match", vendor: null, product: null, serial: null, interface: null };

const MATCHES: readonly [string, Partial<MatchedPlace>, string | RegExp][] = [
  ["vendor and product", { vendor: "0403", product: "6001" }, "ttyUSB0"],
  ["a serial number", { serial: "A10K" }, "ttyUSB0"],
  ["an interface of two", { serial: "FT2B", interface: 1 }, "ttyUSB10"],
  ["an interface, as a number", { interface: 10 }, "ttyACM0"],
  [
    "what several are",
    { vendor: "0403", product: "6010" },
    /ttyUSB1, .*ttyUSB10 are usb 0403:6010: give serial or int/,
  ],
  ["what nothing is", { vendor: "0403", serial: "B" }, /^no device is usb 0403:\* serial B$/],
  ["an on-board port by nothing of USB", { interface: 3 }, /^no device is usb \*:\* interface 3$/],
];

for (const [title, part, expected] of MATCHES) {
  test(`match: ${title}`, async (t) => {
    const { root } = machine(t);
    const found = pathOf({ ...ANY, ...part }, root);
    if (typeof expected === "string") assert.equal(await found, join(root, "dev", expected));
    else await assert.rejects(found, ({ message }: Error) => expected.test(message.replaceAll(root, "")));
  });
}

test("an adapter that is plugged in again under another name is found there", async (t) => {
  const tree = machine(t);
  const place = { ...ANY, serial: "A10K" };
  rmSync(join(tree.root, "sys/class/tty/ttyUSB0"), { recursive: true });
  await assert.rejects(pathOf(place, tree.root), /no device is/);
  tree.tty("ttyUSB7", "pci/usb1/1-2/1-2:1.0/ttyUSB7", null);
  assert.equal(await pathOf(place, tree.root), join(tree.root, "dev/ttyUSB7"));
});
