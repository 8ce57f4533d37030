import type { Statement } from "../../statement.ts";

const CLIENTS = "clients";

/** RFC 7641, Observing Resources. */
export const RFC7641: readonly Statement[] = [
  {
    id: "RFC7641-2-1",
    words: "A stored notification that answers a plain GET loses its Observe option.",
    binds: "caches",
  },
  { id: "RFC7641-3.1-1", words: "Requests for one resource share one observation.", binds: CLIENTS },
  { id: "RFC7641-3.1-2", words: "A resource is not observed twice.", binds: CLIENTS },
  { id: "RFC7641-3.3.1-1", words: "A registration is repeated with the same options.", binds: CLIENTS },
  { id: "RFC7641-3.4-1", words: "The notification that was sent last is the freshest.", binds: CLIENTS },
  { id: "RFC7641-3.5-1", words: "A notification of an unknown token is not acknowledged.", binds: CLIENTS },
  { id: "RFC7641-3.5-2", words: "One of a known token is.", binds: CLIENTS },
  { id: "RFC7641-3.6-1", words: "A deregistration has the options of its registration.", binds: CLIENTS },
  { id: "RFC7641-4.1-1", words: "What an observer was told is kept up to date as long as it is on the list." },
  { id: "RFC7641-4.1-2", words: "A registration of the same endpoint and token replaces the one there is." },
  { id: "RFC7641-4.1-3", words: "A response to a registration that was not entered has no Observe option." },
  { id: "RFC7641-4.1-4", words: "Observe 1 removes the entry of this endpoint and token." },
  { id: "RFC7641-4.1-5", words: "Its response has no Observe option." },
  { id: "RFC7641-4.2-1", words: "Every notification, the first response too, has an Observe option." },
  { id: "RFC7641-4.2-2", words: "Every notification has the token of the registration." },
  { id: "RFC7641-4.2-3", should: true, words: "Notifications are 2.05 or 2.03." },
  {
    id: "RFC7641-4.2-4",
    should: true,
    words: "A change after which a GET would fail is notified with the code of that failure.",
    unmet:
      "a topic whose value is cleared is told as an empty one and stays observed, or the next value would be missed; what a client may no longer read or cannot take is notified so",
  },
  { id: "RFC7641-4.2-5", words: "After such a notification the entry is removed." },
  { id: "RFC7641-4.2-6", words: "All notifications have the Content-Format of the first." },
  { id: "RFC7641-4.2-7", should: true, words: "When that cannot be, 4.06 is notified." },
  { id: "RFC7641-4.2-8", words: "After it the entry is removed." },
  { id: "RFC7641-4.2-9", words: "A response that is not 2.xx has no Observe option." },
  { id: "RFC7641-4.3.1-1", words: "What is observed follows the resource as closely as possible." },
  { id: "RFC7641-4.3.1-2", words: "Every representation says how long it may differ from the resource." },
  { id: "RFC7641-4.3.1-3", words: "It says so in Max-Age." },
  { id: "RFC7641-4.3.2-1", words: "A client has no responses stored but those whose ETags its last GET named." },
  { id: "RFC7641-4.4-1", words: "Observe holds the low 24 bits of a strictly increasing number." },
  { id: "RFC7641-4.4-2", words: "Within 256 s it grows by no more than 2^23." },
  { id: "RFC7641-4.4-3", words: "Each notification's number is greater than those before it." },
  { id: "RFC7641-4.4-4", words: "What is transmitted again has the number that is current then." },
  { id: "RFC7641-4.5-1", words: "An RST, or no acknowledgement after all attempts, removes the entry." },
  { id: "RFC7641-4.5-2", words: "At least every 24 hours one notification is a CON." },
  { id: "RFC7641-4.5.1-1", words: "No more than NSTART notifications are outstanding to one client." },
  {
    id: "RFC7641-4.5.1-2",
    should: true,
    words: "On average no more than one NON goes to a client per round trip, or per 3 s while none is known.",
  },
  { id: "RFC7641-6-1", words: "The obs attribute has no value." },
  { id: "RFC7641-6-2", words: "A value that it has all the same is ignored.", binds: CLIENTS },
  { id: "RFC7641-6-3", words: "It stands once in a link at most." },
  { id: "RFC7641-6-4", words: "Further occurrences are ignored.", binds: CLIENTS },
  {
    id: "RFC7641-7-1",
    words: "Without authentication, the NONs between two acknowledgements of a client are strictly limited.",
  },
];
