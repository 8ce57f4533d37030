/** Whether this build and machine have DTLS. Loading this file loads nothing; asking loads the addon. */
import { type DtlsAddon, loadDtls } from "../../native/dtls/binding.ts";
import { ListenerUnavailable } from "../listener.ts";

/** @returns why there is no DTLS here, in words; null = there is */
export function dtlsProblem(): string | null {
  const addon = loadDtls();
  return typeof addon === "string" ? addon : null;
}

/** @param name of the listener that needs it  @throws ListenerUnavailable */
export function dtlsAddon(name: string): DtlsAddon {
  const addon = loadDtls();
  if (typeof addon === "string") throw new ListenerUnavailable(`${name}: ${addon}`);
  return addon;
}
