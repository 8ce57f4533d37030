/** Our own mistakes: throws, which ends the process; the supervisor restarts it and the state is on disk. Never for what a peer sent. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}
