/** The library's door to the gateway: `import { Gateway } from "sluice"`. */
export type { Complaint } from "./config/complaint.ts";
export type { Action, Hooks, PublishedMessage, Verdict } from "./core/hooks.ts";
export type { LoginRequest, Principal } from "./core/ports.ts";
export type { BoundListener } from "./gateway/gateway.ts";
export { ConfigurationError, GatewayError, type GatewayErrorCode } from "./library/errors.ts";
export { Gateway, type GatewayOptions, type Subscription } from "./library/gateway.ts";
export type { Message, MessageProperties } from "./library/message.ts";
export type { PublishOptions } from "./library/publishing.ts";
export type { MessageHandler, SubscribeOptions } from "./library/subscription.ts";
