/** What a proxy is asked, and what comes of it. */

/** For whom. */
export interface ProxyRequest {
  readonly host: string;
  readonly port: number;
  readonly username: string | null;
  /** "" without one. */
  readonly password: string;
  readonly timeoutMs: number;
}

/** What the proxy said, in words. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
}
