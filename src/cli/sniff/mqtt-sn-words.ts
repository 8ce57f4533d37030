/** What MQTT-SN messages on a line say. @see MQTT-SN 1.2 section 5 */
import * as codes from "../../wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../wire/mqtt-sn/decode.ts";
import { MessageStream } from "../../wire/mqtt-sn/stream.ts";
import { SlipDecoder } from "../../wire/serial/slip.ts";
import { printable } from "../printable.ts";
import { counted } from "./frame-text.ts";
import { type Judgement, judgement, type Reading } from "./reading.ts";

const MESSAGE_BYTES_MAX = 8192;
const GAP_MS = 200;
const RETURN_CODES = ["accepted", "congestion", "invalid topic id", "not supported"];
const TOPIC_TYPES = ["topic id", "predefined topic id", "short topic"];
/** Those of `codes` that are a MsgType, by it: the names are written the same. */
const MESSAGE_NAMES =
  "ADVERTISE SEARCHGW GWINFO CONNECT CONNACK WILLTOPICREQ WILLTOPIC WILLMSGREQ WILLMSG REGISTER REGACK PUBLISH PUBACK " +
  "PUBCOMP PUBREC PUBREL SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT WILLTOPICUPD WILLTOPICRESP " +
  "WILLMSGUPD WILLMSGRESP ENCAPSULATED";
const NAMES = new Map(
  MESSAGE_NAMES.split(" ").map((name) => [(codes as unknown as Record<string, number>)[name] as number, name]),
);
const VIEW = new MessageView();

export function mqttSnReading(framing: "mqtt-sn" | "mqtt-sn-length"): Reading {
  if (framing === "mqtt-sn-length")
    return {
      decoder: new MessageStream(MESSAGE_BYTES_MAX, GAP_MS),
      name: "MQTT-SN by Length",
      strength: "weak",
      judge,
    };
  const decoder = new SlipDecoder({ frameBytesMax: MESSAGE_BYTES_MAX }, null);
  return { decoder, name: "slip, MQTT-SN", strength: "weak", judge };
}

function judge(frame: Buffer): Judgement {
  const view = VIEW;
  const outcome = decode(frame, 0, frame.length, view);
  const name = NAMES.get(view.type);
  if (outcome === codes.OK && name !== undefined) return judgement("ok", printable(`${name}${fieldsOf(frame, view)}`));
  return judgement("malformed", name === undefined ? "no MQTT-SN message" : `${name}, malformed`);
}

/** " topic id 5 qos 1 msg 7, 12 bytes" */
function fieldsOf(frame: Buffer, view: MessageView): string {
  const { type, duration, msgId, returnCode, gatewayId, restAt, restEnd } = view;
  const rest = frame.toString("utf8", restAt, restEnd);
  const bytes = restEnd - restAt;
  const code = `: ${RETURN_CODES[returnCode] ?? `return code ${returnCode}`}`;
  switch (type) {
    case codes.CONNECT:
      return ` client ${rest} keep alive ${duration} s${view.flags & codes.FLAG_CLEAN_SESSION ? " clean" : ""}`;
    case codes.CONNACK:
    case codes.WILLTOPICRESP:
    case codes.WILLMSGRESP:
      return code;
    case codes.REGISTER:
      return ` topic id ${view.topicId} is ${rest} msg ${msgId}`;
    case codes.REGACK:
    case codes.PUBACK:
    case codes.SUBACK:
      return ` topic id ${view.topicId} msg ${msgId}${code}`;
    case codes.PUBLISH:
      return ` ${topicOf(view)} qos ${view.qos}${retained(view)} msg ${msgId}, ${counted(bytes, "byte")}`;
    case codes.SUBSCRIBE:
    case codes.UNSUBSCRIBE:
      return ` ${view.topicType === codes.TOPIC_NORMAL ? rest : topicOf(view)} msg ${msgId}`;
    case codes.PUBCOMP:
    case codes.PUBREC:
    case codes.PUBREL:
    case codes.UNSUBACK:
      return ` msg ${msgId}`;
    case codes.PINGREQ:
      return bytes === 0 ? "" : ` client ${rest}`;
    case codes.DISCONNECT:
      return duration < 0 ? "" : ` sleeps ${duration} s`;
    case codes.ADVERTISE:
      return ` gateway ${gatewayId} every ${duration} s`;
    case codes.GWINFO:
      return ` gateway ${gatewayId}`;
    case codes.WILLTOPIC:
    case codes.WILLTOPICUPD:
      return ` ${rest}`;
    default:
      return bytes > 0 ? `, ${counted(bytes, "byte")}` : "";
  }
}

/** "predefined topic id 5", "short topic ab" */
function topicOf({ topicType, topicId }: MessageView): string {
  const isShort = topicType === codes.TOPIC_SHORT;
  const id = isShort ? String.fromCharCode(topicId >> 8, topicId & 0xff) : topicId;
  return `${TOPIC_TYPES[topicType]} ${id}`;
}

function retained({ flags }: MessageView): string {
  return flags & codes.FLAG_RETAIN ? " retain" : "";
}
