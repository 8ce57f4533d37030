/** A sample device: something that measures and tells the gateway. */
export interface Device {
  readonly source: string;
  /** For people: protocol and how it is acknowledged. */
  readonly speaks: string;
  /** Whether its protocol tells it that a message was taken. */
  readonly acknowledges: boolean;
  readonly messagesPerSecond: number;
  /** Messages it has under way at most. */
  readonly windowMax: number;
  /**
   * Sends one message to the topic `sensors/<source>`. `done` is called once: with null when the gateway acknowledged
   * (or, without acknowledgements, when it is sent), with the reason when it did not.
   */
  publish(payload: string, done: (refusal: string | null) => void): void;
  close(): Promise<void>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}
