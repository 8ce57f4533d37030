// Certificates on elliptic curves and RSA, made with openssl: an authority, chains below it, names of any number.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerPath } from "./peers.ts";

/** PEM. */
export interface Issued {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface Subject {
  /** File name and common name. */
  readonly name: string;
  readonly key?: "P-256" | "P-384" | "RSA" | "RSA-1024";
  /** Who signs; the authority itself unless given. */
  readonly by?: string;
  readonly isAuthority?: boolean;
  /** "DNS:a", "IP:127.0.0.1", "URI:...", ... */
  readonly names?: readonly string[];
}

/** One authority, `ca`, and what it issued. */
export class Authority {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.issue({ name: "ca", by: "ca", isAuthority: true });
  }

  get ca(): Buffer {
    return this.read("ca.pem");
  }

  issue({ name, key = "P-256", by = "ca", isAuthority = false, names = [] }: Subject): Issued {
    const rsa = key === "RSA" ? "rsa:2048" : "rsa:1024";
    const algorithm = key.startsWith("RSA") ? [rsa] : ["ec", "-pkeyopt", `ec_paramgen_curve:${key}`];
    const extensions = [
      `basicConstraints=critical,CA:${isAuthority ? "TRUE" : "FALSE"}`,
      ...(names.length > 0 ? [`subjectAltName=${names.join(",")}`] : []),
    ];
    writeFileSync(join(this.#folder, `${name}.ext`), extensions.join("\n"));
    this.#openssl("req", "-newkey", ...algorithm, "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const signer = by === name ? ["-key", `${name}.key`] : ["-CA", `${by}.pem`, "-CAkey", `${by}.key`];
    const subject = ["-subj", `/CN=${name}`, "-extfile", `${name}.ext`, "-days", "30"];
    this.#openssl("x509", "-req", "-in", `${name}.csr`, ...signer, ...subject, "-out", `${name}.pem`);
    return { cert: this.read(`${name}.pem`), key: this.read(`${name}.key`) };
  }

  /** The key of `name` under a password. */
  encrypt(name: string, password: string): Buffer {
    const args = ["-in", `${name}.key`, "-aes256", "-passout", `pass:${password}`, "-out", `${name}.encrypted`];
    this.#openssl("pkey", ...args);
    return this.read(`${name}.encrypted`);
  }

  /** For programs that want files: `<name>.pem`, `<name>.key`. */
  path(file: string): string {
    return join(this.#folder, file);
  }

  read(file: string): Buffer {
    return readFileSync(this.path(file));
  }

  #openssl(...args: string[]): void {
    const subject = args[0] === "req" ? ["-subj", "/CN=request"] : [];
    execFileSync(peerPath("openssl"), [...args, ...subject], {
      cwd: this.#folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
  }
}
