/** One hot operation. */
export interface MicroCase {
  /** `module: what`, as the module is called. */
  readonly name: string;
  /** Does the operation `times` times. What it computes must be used, or the compiler drops it. */
  readonly run: (times: number) => void | Promise<void>;
  readonly close?: () => Promise<void>;
}

/** Results go here so that no loop is empty. */
export const sink = { value: 0 };
