// What a test needs from the machine: other programs, Python modules, root.
//
// Pass the answer as the test's `skip`: test("...", { skip: requirePeer("mosquitto") }, ...). What is missing is a
// skip that the test runner counts and lists; in CI (CI=true) it is an error, so that no test vanishes there unseen.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Value for a test's `skip`: false runs it, a string is the reason why not. */
export type Skip = false | string;

/** Debian installs daemons in sbin, which is not on every user's PATH. */
const FOLDERS = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/sbin"];

/** Names under which a system installs a peer; the first one found is used. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  "coap-client": ["coap-client", "coap-client-openssl", "coap-client-gnutls", "coap-client-notls"],
  "coap-server": ["coap-server", "coap-server-openssl", "coap-server-gnutls", "coap-server-notls"],
  "qemu-aarch64": ["qemu-aarch64", "qemu-aarch64-static"],
};

/** @returns false if all of `names` are installed, else which one is not */
export function requirePeer(...names: string[]): Skip {
  for (const name of names) {
    if (findPeer(name) === undefined) return missing(`${name} is not installed`);
  }
  return false;
}

/** @returns the path of an installed program; throws if it is missing */
export function peerPath(name: string): string {
  const path = findPeer(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** @returns false if Debian's Python has the module; for Debian's packages, whatever Python is first on PATH */
export function requirePython(module: string): Skip {
  const { status } = spawnSync("/usr/bin/python3", ["-c", `import ${module}`], { stdio: "ignore" });
  return status === 0 ? false : missing(`python module ${module} is not installed`);
}

/** For what only root may do: network namespaces, cgroups, a small file system to fill. */
export function requireRoot(): Skip {
  return process.geteuid?.() === 0 ? false : missing("needs root");
}

/** For whatever else the machine may lack, in the test's own words. */
export function requireThat(holds: boolean, otherwise: string): Skip {
  return holds ? false : missing(otherwise);
}

function missing(reason: string): string {
  if (process.env["CI"]) throw new Error(`${reason}; in CI every peer must be there: add it to .ci/run`);
  return reason;
}

function findPeer(name: string): string | undefined {
  for (const alias of ALIASES[name] ?? [name]) {
    for (const folder of FOLDERS) {
      const path = join(folder, alias);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Look in the next folder.
      }
    }
  }
  return undefined;
}
