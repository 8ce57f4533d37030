/** Where an uplink connects to: its urls in failover order, and the proxy in between. */
import type { Section } from "./section.ts";

export interface ProxyConfig {
  readonly kind: "http" | "socks5";
  readonly host: string;
  readonly port: number;
  /** null = none is given. */
  readonly username: string | null;
  /** Absolute path; read before each connect. */
  readonly passwordFile: string | null;
}

/** Servers of one uplink. */
const URLS_MAX = 16;
const PORTS: Readonly<Record<string, string>> = { "mqtt:": "1883", "mqtts:": "8883", "ws:": "80", "wss:": "443" };
/** What brokers serve WebSocket under. */
const WS_PATH = "/mqtt";
const EXAMPLE = "write it like mqtts://broker.example.com:8883";
const PROXY_EXAMPLE = "write it like http://proxy.example.com:3128 or socks5://user@10.0.0.1:1080";

/** @returns "scheme://host:port", of a WebSocket with path and query behind it; empty only where something was wrong */
export function readUrls(section: Section): string[] {
  if (!section.has("url")) {
    section.complain("url", "is missing", EXAMPLE);
    return [];
  }
  const isList = section.isList("url");
  const texts = isList ? (section.texts("url") ?? []) : [section.text("url", null)];
  if (isList && texts.length === 0) section.complain("url", "is an empty list", EXAMPLE);
  if (texts.length > URLS_MAX) section.complain("url", `has ${texts.length} urls`, `give at most ${URLS_MAX}`);
  const urls: string[] = [];
  for (const [i, text] of texts.entries()) {
    if (text === null) continue;
    const key = isList ? `url[${i}]` : "url";
    const problem = urlProblem(text);
    if (problem !== null) {
      section.complain(key, problem, EXAMPLE);
      continue;
    }
    const url = normalUrl(new URL(text));
    if (urls.includes(url)) section.complain(key, "is in the list already", "name each server once");
    else urls.push(url);
  }
  return urls;
}

export function isEncrypted(url: string): boolean {
  return url.startsWith("mqtts:") || url.startsWith("wss:");
}

function urlProblem(text: string): string | null {
  if (!URL.canParse(text)) return `${JSON.stringify(text)} is no URL`;
  const url = new URL(text);
  if (PORTS[url.protocol] === undefined) return `${url.protocol}// is not possible`;
  if (url.hostname === "") return "names no host";
  if (url.username !== "" || url.password !== "") return "holds a user or password; they have keys of their own";
  if (url.port === "0") return "port 0 is no broker's";
  if (url.hash !== "") return "has something after #";
  if (url.protocol.startsWith("ws")) return null;
  return /^\/?$/.test(url.pathname) && url.search === "" ? null : "has something after the port";
}

function normalUrl(url: URL): string {
  const port = url.port === "" ? PORTS[url.protocol] : url.port;
  const server = `${url.protocol}//${url.hostname}:${port}`;
  if (!url.protocol.startsWith("ws")) return server;
  return `${server}${url.pathname === "/" ? WS_PATH : url.pathname}${url.search}`;
}

export function readProxy(section: Section): ProxyConfig | null {
  const text = section.text("proxy", null);
  const passwordFile = section.file("proxy_password_file", null);
  if (text === null) {
    if (passwordFile !== null)
      section.complain("proxy", "is missing while proxy_password_file is given", PROXY_EXAMPLE);
    return null;
  }
  const problem = proxyProblem(text);
  if (problem !== null) {
    section.complain("proxy", problem, PROXY_EXAMPLE);
    return null;
  }
  const url = new URL(text);
  const kind = url.protocol === "http:" ? "http" : "socks5";
  const username = url.username === "" ? null : decodeURIComponent(url.username);
  if (passwordFile !== null && username === null)
    section.complain("proxy", "names no user while proxy_password_file is given", PROXY_EXAMPLE);
  const port = url.port === "" ? (kind === "http" ? 80 : 1080) : Number(url.port);
  return { kind, host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port, username, passwordFile };
}

function proxyProblem(text: string): string | null {
  if (!URL.canParse(text)) return `${JSON.stringify(text)} is no URL`;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "socks5:") return `${url.protocol}// is not possible`;
  if (url.hostname === "") return "names no host";
  if (url.password !== "") return "holds a password; it belongs into the file proxy_password_file";
  if (url.port === "0") return "port 0 is no proxy's";
  if (!/^(%[0-9A-Fa-f]{2}|[^%])*$/.test(url.username)) return "has a user name with a stray %";
  return /^\/?$/.test(url.pathname) && url.search === "" && url.hash === "" ? null : "has something after the port";
}
