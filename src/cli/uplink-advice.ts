/**
 * What to do about an uplink's last error, for who stands in front of the cabinet. The gateway tells what happened; this
 * table is the asker's, so that the gateway need not hold it. README.md has the same, and a test compares them.
 */

/** The first that matches holds: the narrow before the wide. */
export const ADVICE: readonly (readonly [error: RegExp, advice: string])[] = [
  [/token in password_file expired/, "put a new token into `password_file`, or look what is to do so"],
  [/clock is not set/, "set the gateway's clock"],
  [
    /local address .* is gone/,
    "nothing here if it comes back: the link was made anew, as modems do it; else look at the modem",
  ],
  // Files.
  [
    /password_file|cannot be read|not in PEM/,
    "look whether the file is there, whole, and readable for the gateway's user",
  ],
  [/does not belong to/, "put the key beside the certificate that it was made with, then `sluice reload`"],
  // The way.
  [/proxy .*(user name|password)/, "correct the user in `proxy`, or `proxy_password_file`"],
  [
    /proxy .*(connection refused|timed out|name not found|unreachable)/,
    "look whether the proxy runs, and at host and port in `proxy`",
  ],
  [/proxy .*does not answer as/, "write `proxy` as http:// or socks5://, whichever it is"],
  [/proxy /, "ask who runs the proxy to let the gateway through to the broker's host and port"],
  [
    /interface .* has no|no such address|EADDRNOTAVAIL|that .* can reach/,
    "look at the modem or cable, and at `interface` or `bind_address`: `ip address` shows what there is",
  ],
  [/ENOTFOUND/, "look for a typing error in `url`; `getent hosts NAME` on the gateway has to find it"],
  [/EAI_AGAIN|looking up the name/, "look whether the link is up, and at the name server in /etc/resolv.conf"],
  [
    /EHOSTUNREACH|ENETUNREACH|ENETDOWN/,
    "look at the modem or cable: there is no route; `ip route` shows which there are",
  ],
  [/ECONNREFUSED/, "look whether the broker runs, and at the port in `url`"],
  [
    /timed out.*, connecting|ETIMEDOUT/,
    "look whether the link carries anything, and whether a firewall drops the port of `url`",
  ],
  // TLS.
  [
    /timed out.*TLS|EPROTO|wrong version number|packet length too long/,
    "look whether that port speaks TLS: mqtts:// and wss:// do, mqtt:// and ws:// do not",
  ],
  [
    /our certificate (has expired|is not valid yet)/,
    "put a new certificate into `tls.cert` and `tls.key`, then `sluice reload`",
  ],
  [
    /certificate (has )?expired|issuer has expired/,
    "have the broker's certificate renewed; if the day is wrong, set the gateway's clock",
  ],
  [/not valid yet|NOT_YET_VALID/, "set the gateway's clock"],
  [
    /not trust our certificate|refuses our certificate/,
    "give the broker the authority that issued `tls.cert`, or take a certificate of one it knows",
  ],
  [/wants a client certificate/, "give `tls.cert` and `tls.key`"],
  [/ALPN/, "correct `tls.alpn`: AWS IoT on port 443 wants x-amzn-mqtt-ca"],
  [/issuer is not trusted|self-signed/, "put the certificate of the broker's authority into `tls.ca`"],
  [/ALTNAME|altnames/i, "write `url` with the name in the broker's certificate, or that name into `tls.servername`"],
  // WebSocket.
  [/no WebSocket under this path/, "correct the path in `url`: most brokers have /mqtt"],
  [/WebSocket/, "look at port and path of `url`, and whether the broker has MQTT over WebSocket there"],
  // What the broker says.
  [
    /not authorised|bad user name or password|banned|bad authentication method/,
    "look at `username`, `password_file`, `client_id` and at what the broker's policy allows them; a token may have expired",
  ],
  [/client id not accepted/, "correct `client_id`: the broker may want the device's name there"],
  [/unsupported protocol version/, "set `protocol: 4`"],
  [/session taken over/, "give each gateway its own `client_id`: another client has this one"],
  [/use another server|server moved/, "put the broker's new address into `url`"],
  [
    /quota exceeded|no room|rate exceeded|rate too high|server busy|server unavailable|shutting down|unspecified error|implementation specific|administrative action|maximum connect time/,
    "nothing here: the broker has no room or is being worked on; the gateway keeps what comes and tries again",
  ],
  [
    /keep alive timeout|no sign of life/,
    "look at the link; a network that closes idle ways needs a shorter `keepalive`",
  ],
  [
    /no acknowledgement within|no answer to CONNECT within/,
    "look at the broker: it takes connections and does not answer",
  ],
  [
    /without an answer to CONNECT/,
    "look at the broker's log: it may not accept `client_id`, the certificate, or MQTT on this port",
  ],
  [
    /packet too large|more came at once|could not be stored/,
    "look at `store` in `sluice status`, and at limits.max_packet_bytes beside the broker's",
  ],
  [
    /topic (name|filter) invalid|not supported|format invalid|receive maximum/,
    "look at `match`, `to`, `qos` and `retain` of the rules: the broker refuses what they make",
  ],
  [
    /broke the protocol|malformed|protocol error|unknown reason code|packet identifier|topic alias/,
    "look whether there is an MQTT broker at `url`; if there is, tell who makes it",
  ],
  [/longer than 65,535 bytes/, "shorten `client_id`, `username` or what is in `password_file`"],
  [
    /reset by peer|closed by|EPIPE|peer closed/,
    "look at the broker's log; a firewall in between may close the way, or another client have this `client_id`",
  ],
];

/** @returns "" for what nobody has met yet */
export function adviceFor(error: string): string {
  return ADVICE.find(([pattern]) => pattern.test(error))?.[1] ?? "";
}
