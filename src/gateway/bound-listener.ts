/** A listener as it was bound: port 0 has become the one that was free. */
export interface BoundListener {
  readonly type: string;
  readonly name: string;
  readonly address: string;
}
