/** The program's version. The build writes it in; from the sources there is none. */
export function version(): string {
  return process.env.SLUICE_VERSION ?? "0.0.0-source";
}

/** No source of this version is older: what counts when a build was made by a machine without a clock, or none was. */
const SOURCE_MS = Date.UTC(2026, 10, 21);

/** When the program was built, Unix ms. A clock that shows an earlier time is not set. */
export function builtMs(): number {
  return Math.max(Number(process.env.SLUICE_BUILD_TIME ?? 0) * 1000, SOURCE_MS);
}
