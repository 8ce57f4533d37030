/** Numbers of MQTT-SN 1.2. @see MQTT-SN 1.2 sections 5.2 and 5.3 */

export const ADVERTISE = 0x00;
export const SEARCHGW = 0x01;
export const GWINFO = 0x02;
export const CONNECT = 0x04;
export const CONNACK = 0x05;
export const WILLTOPICREQ = 0x06;
export const WILLTOPIC = 0x07;
export const WILLMSGREQ = 0x08;
export const WILLMSG = 0x09;
export const REGISTER = 0x0a;
export const REGACK = 0x0b;
export const PUBLISH = 0x0c;
export const PUBACK = 0x0d;
export const PUBCOMP = 0x0e;
export const PUBREC = 0x0f;
export const PUBREL = 0x10;
export const SUBSCRIBE = 0x12;
export const SUBACK = 0x13;
export const UNSUBSCRIBE = 0x14;
export const UNSUBACK = 0x15;
export const PINGREQ = 0x16;
export const PINGRESP = 0x17;
export const DISCONNECT = 0x18;
export const WILLTOPICUPD = 0x1a;
export const WILLTOPICRESP = 0x1b;
export const WILLMSGUPD = 0x1c;
export const WILLMSGRESP = 0x1d;
/** A forwarder's wrapping of another message (section 5.5). */
export const ENCAPSULATED = 0xfe;

// ReturnCode, section 5.3.10.
export const ACCEPTED = 0x00;
export const REJECTED_CONGESTION = 0x01;
export const REJECTED_INVALID_TOPIC_ID = 0x02;
export const REJECTED_NOT_SUPPORTED = 0x03;

// TopicIdType, section 5.3.4: what the two bytes of a topic id stand for.
export const TOPIC_NORMAL = 0;
export const TOPIC_PREDEFINED = 1;
export const TOPIC_SHORT = 2;

// Flags, section 5.3.4.
export const FLAG_DUP = 0x80;
export const FLAG_RETAIN = 0x10;
export const FLAG_WILL = 0x08;
export const FLAG_CLEAN_SESSION = 0x04;
export const TOPIC_TYPE_BITS = 0x03;
export const QOS_SHIFT = 5;
/** The two QoS bits of "-1": published without a connection. */
export const QOS_MINUS_ONE_BITS = 3;

/** ProtocolId of all versions up to 1.2. */
export const PROTOCOL_ID = 0x01;
/** 0x0000 and 0xFFFF are reserved (section 5.3.11). */
export const TOPIC_ID_MIN = 0x0001;
export const TOPIC_ID_MAX = 0xfffe;

// Answers of `decode`.
export const OK = 0;
/** Length, fields or text are not of the form that the message type has. */
export const MALFORMED = -1;
/** A message type that 1.2 does not have. */
export const UNKNOWN_TYPE = -2;
