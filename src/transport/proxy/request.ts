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
  /** It is the server that the proxy does not reach: to ask again costs little, and nothing beyond the proxy. */
  readonly unreached: boolean;

  constructor(message: string, unreached = false) {
    super(message);
    this.unreached = unreached;
  }
}
