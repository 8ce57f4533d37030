/** Messages as a program sees them. */
import type { MessageProperties } from "../core/message-properties.ts";

export type { MessageProperties };

/** A message for the program. The payload is its own copy. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  /** It is a retained value from before the subscription. */
  readonly retain: boolean;
  readonly properties: MessageProperties;
}

export interface PublishOptions {
  /** 0 = at most once; 1 and 2 = resolved when every durable receiver has it safely. Default 0. */
  readonly qos?: 0 | 1 | 2;
  /** Kept as the topic's value; with an empty payload the value is deleted. */
  readonly retain?: boolean;
  readonly properties?: MessageProperties;
}

export type MessageHandler = (message: Message) => void | Promise<void>;

export interface SubscribeOptions {
  /**
   * A name under which the gateway keeps QoS 1 and 2 messages for the program until its handler has done with them, over
   * restarts too. Only before `start`; whoever does not subscribe again under the name gives up what was kept.
   */
  readonly durable?: string;
  /** Whether the retained values that match come first. Default true; not with `durable`. */
  readonly retained?: boolean;
  /**
   * Messages that may wait for the handler, default 1000; their payloads together have `limits.output_bytes`. Ignored with
   * `durable`, where the log holds them.
   */
  readonly messagesMax?: number;
}
