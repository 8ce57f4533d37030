import type { Statement } from "../../statement.ts";

const RAW_KEYS = "implementations with raw public keys";
const ISSUERS = "who issues certificates";
const ONE_EPOCH = "a session has one epoch here: renegotiation is off";

/** RFC 7252 section 9, Securing CoAP. */
export const RFC7252_9: readonly Statement[] = [
  { id: "RFC7252-9-1", words: "NoSec is implemented." },
  {
    id: "RFC7252-9-2",
    words: "RawPublicKey is implemented.",
    unmet: "devices come with shared keys or with certificates; of raw public keys (RFC 7250) nothing is built",
  },
  { id: "RFC7252-9.1.1-1", words: "All CoAP messages of coaps are DTLS application data." },
  {
    id: "RFC7252-9.1.1-2",
    words: "An ACK or RST belongs to a message of its own session only.",
    untestable: "another session has another address, or came after the old one was given up with all that it was owed",
  },
  {
    id: "RFC7252-9.1.1-3",
    words: "An ACK or RST belongs to a message of its own epoch only.",
    untestable: ONE_EPOCH,
  },
  { id: "RFC7252-9.1.1-4", words: "Nothing is transmitted again in another epoch.", untestable: ONE_EPOCH },
  { id: "RFC7252-9.1.2-1", words: "A response belongs to a request of its own session only.", binds: "clients" },
  { id: "RFC7252-9.1.2-2", words: "A response belongs to a request of its own epoch only.", binds: "clients" },
  { id: "RFC7252-9.1.2-3", words: "A response to a request over DTLS goes over the same session." },
  { id: "RFC7252-9.1.2-4", words: "A response without DTLS to a request over DTLS is rejected.", binds: "clients" },
  { id: "RFC7252-9.1.3.1-1", words: "With shared keys, TLS_PSK_WITH_AES_128_CCM_8 is supported." },
  { id: "RFC7252-9.1.3.2-1", words: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 is supported.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.2-2", words: "The key is one for ECDSA.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.2-3", words: "The curve secp256r1 is supported.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.2-4", words: "The extensions of curves and point formats are used.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.2-5", words: "The uncompressed point format is supported.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.2.1-1", words: "Identities of sha-256-120 are supported.", binds: RAW_KEYS },
  { id: "RFC7252-9.1.3.3-1", words: "With certificates, TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 is supported." },
  { id: "RFC7252-9.1.3.3-2", words: "Certificates are signed by ECDSA on secp256r1.", binds: ISSUERS },
  { id: "RFC7252-9.1.3.3-3", words: "The signature uses SHA-256.", binds: ISSUERS },
  { id: "RFC7252-9.1.3.3-4", words: "The key is one for ECDSA.", binds: ISSUERS },
  { id: "RFC7252-9.1.3.3-5", words: "The curve secp256r1 is supported." },
  { id: "RFC7252-9.1.3.3-6", words: "The extensions of curves and point formats are used." },
  { id: "RFC7252-9.1.3.3-7", words: "The uncompressed point format is supported." },
  { id: "RFC7252-9.1.3.3-8", words: "A peer's certificate is validated as RFC 5280 has it." },
  { id: "RFC7252-9.1.3.3-9", words: "A URI in SubjectAltName has the authority that was asked.", binds: "clients" },
  { id: "RFC7252-9.1.3.3-10", words: "Without SubjectAltName, the Common Name has it.", binds: "clients" },
];
