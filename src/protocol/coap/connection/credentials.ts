/**
 * Who a request says it is: EMQX's and FluxMQ's arguments of the query.
 *
 *      clientid, client_id                      which client
 *      username, u                              which user
 *      password, p, authorization               the user's password
 *      token                                    of the connection that the client opened; never a password
 */
export class Credentials {
  /** "" = none given. */
  clientId = "";
  /** null = none given, and so are the others. */
  userName: string | null = null;
  password: string | null = null;
  token: string | null = null;

  /**
   * Takes them from a query; arguments of another meaning are passed over.
   * @param bytesMax `limits.string_bytes`
   * @returns what is wrong in words, null when they may be looked at
   */
  read(query: readonly string[], bytesMax: number): string | null {
    this.clientId = "";
    this.userName = null;
    this.password = null;
    this.token = null;
    for (const argument of query) {
      const equals = argument.indexOf("=");
      if (equals <= 0) continue;
      const key = argument.slice(0, equals);
      const value = argument.slice(equals + 1);
      const problem = this.#take(key, value);
      if (problem !== null) return problem;
    }
    if (this.token !== null && this.clientId === "") return "token means nothing without clientid";
    return (
      problemOf("clientid", this.clientId, bytesMax) ??
      problemOf("username", this.userName, bytesMax) ??
      problemOf("token", this.token, bytesMax)
    );
  }

  #take(key: string, value: string): string | null {
    switch (key) {
      case "clientid":
      case "client_id":
        if (this.clientId !== "") return "clientid is given twice";
        this.clientId = value;
        return null;
      case "username":
      case "u":
        if (this.userName !== null) return "username is given twice";
        this.userName = value;
        return null;
      case "password":
      case "p":
      case "authorization":
        if (this.password !== null) return "password is given twice";
        this.password = value;
        return null;
      case "token":
        if (this.token !== null) return "token is given twice";
        this.token = value;
        return null;
      default:
        return null;
    }
  }
}

/** As MQTT has it for client ids and user names: a limit, and no U+0000 ([MQTT5-1.5.4-2]). */
function problemOf(name: string, value: string | null, bytesMax: number): string | null {
  if (value === null) return null;
  if (value.includes("\0")) return `${name} has U+0000 in it`;
  if (value.length <= bytesMax && Buffer.byteLength(value) <= bytesMax) return null;
  return `${name} is longer than ${bytesMax} bytes`;
}
