/** The library's door to the gateway: `import { Gateway } from "sluice"`. */
export { type Complaint, ConfigurationError } from "./config/complaint.ts";
export type { Action, Hooks, PublishedMessage, Verdict } from "./core/hooks.ts";
export type { LoginRequest, Principal } from "./core/ports.ts";
export type { BoundListener } from "./gateway/bound-listener.ts";
export { GatewayError, type GatewayErrorCode } from "./library/errors.ts";
export { Gateway, type GatewayOptions, type Subscription } from "./library/gateway.ts";
export type {
  Message,
  MessageHandler,
  MessageProperties,
  PublishOptions,
  SubscribeOptions,
} from "./library/message.ts";
