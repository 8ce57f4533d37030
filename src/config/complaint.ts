/** One thing wrong with the configuration, or with a file it names. */
export interface Complaint {
  /** File it is in, as it was named to us; null = the configuration itself. */
  readonly file: string | null;
  /** Where in the configuration: "listeners[1].tls.cert"; "" for the whole of it. */
  readonly path: string;
  /** 1-based; 0 when no line is to blame. */
  readonly line: number;
  readonly problem: string;
  /** What to do about it. */
  readonly advice: string;
}

/** `gateway.yaml:7: listeners[1].tls.cert: cannot read gw.pem: no such file; give the path of a PEM file` */
export function complaintText(complaint: Complaint, configFile: string): string {
  const { file, path, line, problem, advice } = complaint;
  const place = `${file ?? configFile}${line === 0 ? "" : `:${line}`}: `;
  return `${place}${path === "" ? "" : `${path}: `}${problem}${advice === "" ? "" : `; ${advice}`}`;
}

/** A configuration, or a file it names, that is not to be run: everything that is wrong with it. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
  readonly complaints: readonly Complaint[];

  constructor(complaints: readonly Complaint[]) {
    super(complaints.map((complaint) => complaintText(complaint, "configuration")).join("\n"));
    this.complaints = complaints;
  }
}
