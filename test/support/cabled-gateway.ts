// A gateway with one serial line, whose device is in the test's hand.
import { Cable } from "./cable.ts";
import { GatewayProcess, temporaryFolder } from "./gateway-process.ts";

/** A cable that is plugged, and a gateway that has it open. Needs socat. */
export class CabledGateway implements AsyncDisposable {
  readonly cable: Cable;
  readonly gateway: GatewayProcess;
  readonly #folder: Disposable;

  private constructor(cable: Cable, gateway: GatewayProcess, folder: Disposable) {
    this.cable = cable;
    this.gateway = gateway;
    this.#folder = folder;
  }

  /** @param config  the whole configuration with this port in it */
  static async start(config: (port: string) => Record<string, unknown>): Promise<CabledGateway> {
    const folder = temporaryFolder();
    const cable = new Cable(folder.path);
    const made = new CabledGateway(cable, new GatewayProcess(folder.path, config(cable.port)), folder);
    try {
      await cable.plug();
      await made.gateway.start();
      await made.gateway.opened();
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.cable[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
