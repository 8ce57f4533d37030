import type { Statement } from "../../statement.ts";

export const SECTION_6: readonly Statement[] = [
  { id: "MQTT311-6.0.0-1", words: "Packets travel in binary frames; a frame of another type closes the connection." },
  { id: "MQTT311-6.0.0-2", words: "A frame may hold parts of packets or several; the receiver does not mind." },
  { id: "MQTT311-6.0.0-3", words: "A client offers the subprotocol mqtt." },
  { id: "MQTT311-6.0.0-4", words: "A server chooses the subprotocol mqtt." },
  { id: "MQTT5-6.0.0-1", words: "Packets travel in binary frames; a frame of another type closes the connection." },
  { id: "MQTT5-6.0.0-2", words: "A frame may hold parts of packets or several; the receiver does not mind." },
  { id: "MQTT5-6.0.0-3", words: "A client offers the subprotocol mqtt." },
  { id: "MQTT5-6.0.0-4", words: "A server chooses the subprotocol mqtt." },
];
