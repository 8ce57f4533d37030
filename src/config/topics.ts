/**
 * Topic names, filters and the templates of uplink rules, as far as a configuration can be judged by them.
 *
 * @see MQTT 5.0 section 4.7
 */

/** Of `response_information`: with the client id it has to fit in a CONNACK. */
const RESPONSE_BYTES_MAX = 1024;

/** @returns what is wrong with it as a topic filter, or null */
export function filterProblem(filter: string): string | null {
  const problem = lengthProblem(filter);
  if (problem !== null) return problem;
  const levels = filter.split("/");
  for (const [i, level] of levels.entries()) {
    if (level.includes("#") && (level !== "#" || i !== levels.length - 1)) {
      return '"#" must be the last level, alone'; // [MQTT5-4.7.1-1]
    }
    if (level.includes("+") && level !== "+") return '"+" must be alone in its level'; // [MQTT5-4.7.1-2]
  }
  return null;
}

/** @returns what is wrong with it as a topic name, or null */
export function topicProblem(topic: string): string | null {
  if (/[+#]/.test(topic)) return "has a wildcard, which only filters may"; // [MQTT5-3.3.2-2]
  return lengthProblem(topic);
}

/** Whether nobody but the gateway itself may publish to `topic`. */
export function isOwnTopic(topic: string): boolean {
  return topic.startsWith("$SYS");
}

function lengthProblem(text: string): string | null {
  if (text === "") return "is empty";
  if (text.includes("\0") || !text.isWellFormed()) return "has a character that MQTT forbids";
  return Buffer.byteLength(text) > 65_535 ? "is longer than 65535 bytes" : null;
}

/**
 * `{topic}` is the whole topic, `{node}` the gateway's name, `{client}` the uplink's client id, `{rest}` what "#" matched, `{1}`.. what the first "+"
 * matched and so on.
 * @returns what is wrong with `template` as the `to` of a rule that matches `filter`, or null
 */
export function templateProblem(template: string, filter: string): string | null {
  const plus = filter.split("/").filter((level) => level === "+").length;
  for (const [placeholder, name = ""] of template.matchAll(/\{([^{}]*)\}/g)) {
    if (name === "topic" || name === "node" || name === "client") continue;
    if (name === "rest") {
      if (!filter.endsWith("#")) return `{rest} is what "#" matched, and ${filter} has none`;
    } else if (/^[1-9]\d?$/.test(name)) {
      if (Number(name) > plus) return `${placeholder} is what "+" number ${name} matched, and ${filter} has ${plus}`;
    } else return `${placeholder} is no placeholder: they are {topic}, {rest}, {1}, {2} and so on, {node}, {client}`;
  }
  return literalProblem(template);
}

/** @returns what is wrong with `template` as the topic that replies to a client go under, or null */
export function responseTemplateProblem(template: string): string | null {
  const unknown = template.match(/\{(?!client\})[^{}]*\}/);
  if (unknown !== null) return `${unknown[0]} is no placeholder: there is {client} only`;
  const problem = literalProblem(template);
  if (problem !== null) return problem;
  return Buffer.byteLength(template) > RESPONSE_BYTES_MAX ? `is longer than ${RESPONSE_BYTES_MAX} bytes` : null;
}

/** The text around the placeholders. */
function literalProblem(template: string): string | null {
  const literal = template.replaceAll(/\{[^{}]*\}/g, "x");
  if (/[{}]/.test(literal)) return "has a brace without its partner";
  return topicProblem(literal);
}
