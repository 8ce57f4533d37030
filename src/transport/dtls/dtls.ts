/**
 * A DTLS listener: what the core calls a DatagramPort, with identities. Loading this file loads UDP; opening loads the
 * addon.
 *
 *     UdpPort --datagrams--> DtlsServer --records--> DtlsPort --messages, with the peer's name--> handler
 */
import type { DtlsServerConfig } from "../../config/coap-listener.ts";
import type { DtlsAddon, DtlsContext } from "../../native/dtls/binding.ts";
import { type Listener, ListenerError, type ListenOptions, type Reread, tcpName } from "../listener.ts";
import { describeError } from "../socket-error.ts";
import type { Transport } from "../transport.ts";
import { listenUdp, type UdpPort } from "../udp.ts";
import { dtlsAddon } from "./addon.ts";
import { type DtlsFiles, type Known, readDtlsFiles } from "./credentials.ts";
import type { Cause } from "./failure.ts";
import { NO_ENTRY } from "./identities.ts";
import { nameInCertificate } from "./identity.ts";
import { DtlsServer, type DtlsServerHandler, type DtlsServerParts } from "./server.ts";
import type { PeerSession } from "./session.ts";

export interface DtlsListenOptions extends ListenOptions {
  readonly dtls: DtlsServerConfig;
}

export interface SecureDatagramReceiver {
  /** `bytes` valid until return. `identity` is null for a client that has shown none. */
  onDatagram(bytes: Buffer, address: string, port: number, identity: string | null): void;
  /** The session with this peer is over. */
  onPeerGone?(address: string, port: number): void;
}

/** What a record takes beside its content: header, explicit nonce and the longest tag of our suites. */
const RECORD_OVERHEAD_BYTES = 13 + 8 + 16;

/**
 * @param addon for tests  @throws ListenerUnavailable without the addon, ListenerError about files and the address
 */
export async function listenDtls(options: DtlsListenOptions, addon?: DtlsAddon): Promise<DtlsPort> {
  const { DtlsContext } = addon ?? dtlsAddon(tcpName(options));
  const owner = `listener ${options.index}`;
  const { mtu } = options.dtls;
  const build = ({ credentials }: DtlsFiles): DtlsContext => {
    try {
      return new DtlsContext({ role: "server", mtu, ...credentials });
    } catch (error) {
      throw new ListenerError(`${owner}: dtls: ${describeError(error as Error)}`);
    }
  };
  const files = readDtlsFiles(owner, options.dtls);
  const context = build(files);
  try {
    const udp = await listenUdp(options);
    return new DtlsPort(udp, context, files.known, options, () => {
      const next = readDtlsFiles(owner, options.dtls);
      // One that is thrown away says whether OpenSSL takes them, while the one in use stays as it is.
      build(next).free();
      return next;
    });
  } catch (error) {
    context.free();
    throw error;
  }
}

export class DtlsPort implements DtlsServerHandler {
  readonly address: string;
  readonly port: number;
  readonly maxPayload: number;
  readonly peersVerified = true;
  readonly listener: Listener;
  readonly server: DtlsServer;
  handler: SecureDatagramReceiver | null = null;
  readonly #udp: UdpPort;
  readonly #context: DtlsContext;
  readonly #transport: Transport;
  #known: Known;

  /** @param readFiles reads them anew and judges them */
  constructor(
    udp: UdpPort,
    context: DtlsContext,
    known: Known,
    { transport, dtls, ...options }: DtlsListenOptions,
    readFiles: () => DtlsFiles,
  ) {
    this.address = udp.address;
    this.port = udp.port;
    this.maxPayload = dtls.mtu - RECORD_OVERHEAD_BYTES;
    this.#udp = udp;
    this.#context = context;
    this.#transport = transport;
    this.#known = known;
    const name = tcpName({ transport, ...options });
    this.server = new DtlsServer(name, udp, context, this, dtls, { ...partsOf(transport), random: Math.random });
    udp.handler = this.server;
    this.listener = {
      ...udp.listener,
      close: () => Promise.resolve(this.close()),
      reread: (): Reread => {
        const next = readFiles();
        return { what: "DTLS keys and certificates", apply: () => this.#apply(next) };
      },
    };
  }

  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean {
    return this.server.send(bytes, from, end, address, port);
  }

  close(): void {
    this.server.close();
    this.#udp.close();
    this.#context.free();
  }

  // ---- what the server says -----------------------------------------------------------------------------------

  onSecure(session: PeerSession): Cause | null {
    const { identity, peerCertificate } = session.dtls;
    const { identities } = this.#known;
    if (identity !== null) {
      session.entry = identities.entryOf(identity);
      if (session.entry === NO_ENTRY) return "unknown-identity";
      session.name = identities.nameOf(identity);
    } else if (peerCertificate !== null) {
      session.name = nameOf(peerCertificate);
      if (session.name === null) return "certificate-without-name";
    }
    return null;
  }

  onData(session: PeerSession, bytes: Buffer): void {
    this.handler?.onDatagram(bytes, session.address, session.port, session.name);
  }

  onClose(session: PeerSession): void {
    this.handler?.onPeerGone?.(session.address, session.port);
  }

  // ---- reload -------------------------------------------------------------------------------------------------

  /**
   * Who is not what it was any more has to come again. A handshake under way goes on with what was; where somebody is no
   * longer that, it is over.
   */
  #apply({ credentials, known: next }: DtlsFiles): void {
    const before = this.#known;
    const entries = next.identities.entries();
    const sameAuthorities = next.authorities === before.authorities;
    const nobodyGone = sameAuthorities && [...before.identities.entries()].every((entry) => entries.has(entry));
    this.#context.update(credentials);
    this.#known = next;
    const closed = this.server.closeWhere(({ handshake, entry, name }) => {
      if (handshake !== null) return !nobodyGone;
      return entry === NO_ENTRY ? name !== null && !sameAuthorities : !entries.has(entry);
    });
    if (closed > 0)
      this.#transport.log.info("dtls-sessions-closed", { listener: this.listener.name, sessions: closed });
  }
}

function partsOf({ clock, wheel, counters, log, admission }: Transport): Omit<DtlsServerParts, "random"> {
  return { clock, wheel, counters, log, admission };
}

/** A certificate that OpenSSL has verified, and node may still not read. */
function nameOf(certificate: Uint8Array): string | null {
  try {
    return nameInCertificate(certificate);
  } catch {
    return null;
  }
}
