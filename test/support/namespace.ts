// Another machine on a cable: a network namespace, joined to this one by a pair of interfaces. Needs root and iproute2.
import { spawnSync } from "node:child_process";
import { peerPath } from "./peers.ts";

export class Namespace {
  readonly name: string;
  /** This machine's end of the cable. */
  readonly interfaceName: string;
  /** Address of the other machine, and of this one's end. */
  readonly address: string;
  readonly ownAddress: string;
  /** Another one of this end, which the other machine never is deaf to. */
  readonly otherAddress: string;
  /** This machine's over IPv6, after `addIpv6`. */
  readonly ownIpv6: string;
  readonly #ipv6: string;
  readonly #far: string;

  /** @param letter  one of its own for each in a test file */
  constructor(letter = "a") {
    const { pid } = process;
    this.name = `sluice-${pid}${letter}`;
    this.interfaceName = `sl${pid}${letter}`;
    const far = `sf${pid}${letter}`;
    this.#far = far;
    // Of the block for tests of devices, a network for each process.
    const net = `198.${18 + (pid & 1)}.${(pid >> 1) & 255}`;
    const host = 8 * (letter.charCodeAt(0) & 15) + ((pid >> 9) & 1) * 128;
    this.ownAddress = `${net}.${host + 1}`;
    this.address = `${net}.${host + 2}`;
    this.otherAddress = `${net}.${host + 3}`;
    this.ownIpv6 = `fd53:${pid.toString(16).padStart(4, "0").slice(-4)}:${letter.charCodeAt(0).toString(16)}::1`;
    this.#ipv6 = this.ownIpv6.replace(/1$/, "2");
    run("netns", "add", this.name);
    run("link", "add", this.interfaceName, "type", "veth", "peer", "name", far, "netns", this.name);
    for (const own of [this.ownAddress, this.otherAddress]) {
      run("address", "add", `${own}/29`, "dev", this.interfaceName);
    }
    run("link", "set", this.interfaceName, "up");
    for (const device of ["lo", far]) run("-n", this.name, "link", "set", device, "up");
    run("-n", this.name, "address", "add", `${this.address}/29`, "dev", far);
  }

  /** Both ends get IPv6 addresses, and the other machine a way to multicast groups of both kinds. */
  addIpv6(): void {
    this.addOwnIpv6();
    run("-n", this.name, "address", "add", `${this.#ipv6}/64`, "dev", this.#far, "nodad");
    run("-n", this.name, "route", "add", "224.0.0.0/4", "dev", this.#far);
  }

  /** Whether IPv6 goes over the cable; the kernel takes its time to see that both ends are plugged in. */
  isReady(): boolean {
    const route = ["-n", this.name, "-6", "route", "get", "ff05::fd"];
    const there = spawnSync(peerPath("ip"), route, { encoding: "utf8" }).stdout.includes(this.#far);
    const here = spawnSync(peerPath("ip"), ["link", "show", this.interfaceName], { encoding: "utf8" }).stdout;
    return there && here.includes("state UP");
  }

  /** This machine's end gets its own again, which it loses when its link does. */
  addOwnIpv6(): void {
    run("address", "add", `${this.ownIpv6}/64`, "dev", this.interfaceName, "nodad");
  }

  /** What starts a program over there. */
  get command(): readonly string[] {
    return [peerPath("ip"), "netns", "exec", this.name];
  }

  /** Of the other machine's end, as its kernel numbers it. */
  get farIndex(): number {
    const words = ["-n", this.name, "-o", "link", "show", this.#far];
    return Number.parseInt(spawnSync(peerPath("ip"), words, { encoding: "utf8" }).stdout, 10);
  }

  /** This machine's end: the modem loses its link, and gets it back. */
  setLink(up: boolean): void {
    run("link", "set", this.interfaceName, up ? "up" : "down");
  }

  /** What arrives over there is thrown away, without a word. */
  setDeaf(deaf: boolean): void {
    run("-n", this.name, "route", deaf ? "add" : "del", "blackhole", `${this.ownAddress}/32`);
  }

  [Symbol.dispose](): void {
    spawnSync(peerPath("ip"), ["netns", "delete", this.name]);
    spawnSync(peerPath("ip"), ["link", "delete", this.interfaceName]);
  }
}

function run(...words: string[]): void {
  const { status, stderr } = spawnSync(peerPath("ip"), words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
}
