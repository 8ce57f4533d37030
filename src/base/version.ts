/** The program's version. The build writes it in; from the sources there is none. */
export function version(): string {
  return process.env.SLUICE_VERSION ?? "0.0.0-source";
}
