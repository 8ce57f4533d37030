/**
 * CoAP Content-Formats and the media types they stand for, both ways. MQTT 5 and HTTP carry the media type as text.
 *
 * A number without a media type here travels as RFC 8075 section 6.3 lets a proxy carry it, `application/coap-payload;cf=N`,
 * and comes back as the number. So do numbers that stand for a media type with a content coding.
 *
 * @see RFC 7252 section 12.3 and IANA "CoAP Content-Formats"
 */

/** No Content-Format: the option was absent, or the media type has no number. */
export const NO_FORMAT = -1;
export const TEXT_PLAIN = 0;
export const LINK_FORMAT = 40;
export const OCTET_STREAM = 42;
const FORMAT_MAX = 0xffff;

const MEDIA_TYPES: ReadonlyMap<number, string> = new Map([
  [TEXT_PLAIN, "text/plain; charset=utf-8"],
  [16, 'application/cose; cose-type="cose-encrypt0"'],
  [17, 'application/cose; cose-type="cose-mac0"'],
  [18, 'application/cose; cose-type="cose-sign1"'],
  [19, "application/ace+cbor"],
  [21, "image/gif"],
  [22, "image/jpeg"],
  [23, "image/png"],
  [LINK_FORMAT, "application/link-format"],
  [41, "application/xml"],
  [OCTET_STREAM, "application/octet-stream"],
  [47, "application/exi"],
  [50, "application/json"],
  [51, "application/json-patch+json"],
  [52, "application/merge-patch+json"],
  [60, "application/cbor"],
  [61, "application/cwt"],
  [62, "application/multipart-core"],
  [63, "application/cbor-seq"],
  [96, 'application/cose; cose-type="cose-encrypt"'],
  [97, 'application/cose; cose-type="cose-mac"'],
  [98, 'application/cose; cose-type="cose-sign"'],
  [101, "application/cose-key"],
  [102, "application/cose-key-set"],
  [110, "application/senml+json"],
  [111, "application/sensml+json"],
  [112, "application/senml+cbor"],
  [113, "application/sensml+cbor"],
  [114, "application/senml-exi"],
  [115, "application/sensml-exi"],
  [140, "application/yang-data+cbor; id=sid"],
  [256, "application/coap-group+json"],
  [257, "application/concise-problem-details+cbor"],
  [258, "application/swid+cbor"],
  [310, "application/senml+xml"],
  [311, "application/sensml+xml"],
  [320, "application/senml-etch+json"],
  [322, "application/senml-etch+cbor"],
  [340, "application/yang-data+cbor"],
  [341, "application/yang-data+cbor; id=name"],
  [432, "application/td+json"],
  [10_000, "application/vnd.ocf+cbor"],
  [10_001, "application/oscore"],
  [10_002, "application/javascript"],
  [11_542, "application/vnd.oma.lwm2m+tlv"],
  [11_543, "application/vnd.oma.lwm2m+json"],
  [11_544, "application/vnd.oma.lwm2m+cbor"],
  [20_000, "text/css"],
  [30_000, "image/svg+xml"],
]);

const FORMATS: ReadonlyMap<string, number> = new Map(
  [...MEDIA_TYPES].map(([format, type]) => [type.replaceAll(" ", ""), format]),
);

const UNNAMED = "application/coap-payload;cf=";
/** JSON and CBOR are UTF-8 and bytes whatever they say, text without charset is UTF-8. */
const SAYS_NOTHING_NEW: readonly string[] = [";charset=utf-8", ';charset="utf-8"'];

/** The media type of a Content-Format. */
export function mediaTypeOf(format: number): string {
  return MEDIA_TYPES.get(format) ?? UNNAMED + format;
}

/** The Content-Format of a media type, NO_FORMAT when it has none. Case and blanks do not count, nor does a charset of UTF-8. */
export function formatOf(mediaType: string): number {
  const normal = mediaType.toLowerCase().replaceAll(" ", "");
  if (normal.startsWith(UNNAMED)) return formatNamed(normal.slice(UNNAMED.length));
  const format = FORMATS.get(normal);
  if (format !== undefined) return format;
  for (const parameter of SAYS_NOTHING_NEW) {
    if (normal.endsWith(parameter)) return formatOf(normal.slice(0, -parameter.length));
  }
  return normal === "text/plain" ? TEXT_PLAIN : NO_FORMAT;
}

function formatNamed(digits: string): number {
  const format = Number(digits);
  return /^\d{1,5}$/.test(digits) && format <= FORMAT_MAX ? format : NO_FORMAT;
}
