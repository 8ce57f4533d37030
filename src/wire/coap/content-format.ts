/**
 * CoAP Content-Formats and the media types they stand for, both ways. MQTT 5 and HTTP carry the media type as text.
 *
 * @see RFC 7252 section 12.3 and IANA "CoAP Content-Formats"
 */

/** No Content-Format: the option was absent, or the media type has no number. */
export const NO_FORMAT = -1;
export const TEXT_PLAIN = 0;
export const LINK_FORMAT = 40;
export const OCTET_STREAM = 42;

const MEDIA_TYPES: ReadonlyMap<number, string> = new Map([
  [TEXT_PLAIN, "text/plain; charset=utf-8"],
  [LINK_FORMAT, "application/link-format"],
  [41, "application/xml"],
  [OCTET_STREAM, "application/octet-stream"],
  [47, "application/exi"],
  [50, "application/json"],
  [60, "application/cbor"],
  [110, "application/senml+json"],
  [111, "application/sensml+json"],
  [112, "application/senml+cbor"],
  [113, "application/sensml+cbor"],
  [11_542, "application/vnd.oma.lwm2m+tlv"],
  [11_543, "application/vnd.oma.lwm2m+json"],
]);

const FORMATS: ReadonlyMap<string, number> = new Map(
  [...MEDIA_TYPES].map(([format, type]) => [type.replaceAll(" ", ""), format]),
);

/** The media type of a Content-Format, null when it has none here. */
export function mediaTypeOf(format: number): string | null {
  return MEDIA_TYPES.get(format) ?? null;
}

/** The Content-Format of a media type, NO_FORMAT when it has none. Case and blanks do not count; text without charset is UTF-8. */
export function formatOf(mediaType: string): number {
  const normal = mediaType.toLowerCase().replaceAll(" ", "");
  if (normal === "text/plain") return TEXT_PLAIN;
  return FORMATS.get(normal) ?? NO_FORMAT;
}
