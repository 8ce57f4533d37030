/** The variable parts of templates: {topic}, {rest}, {1}, {2}, ... of a topic that matches a filter. */
export class TopicParts {
  readonly #levels: readonly string[];
  /** Indexes of its + levels. */
  readonly #plus: readonly number[];

  constructor(filter: string) {
    this.#levels = filter.split("/");
    this.#plus = this.#levels.flatMap((level, i) => (level === "+" ? [i] : []));
  }

  /** @param name one that the configuration's check let through */
  part(name: string, topic: string): string {
    if (name === "topic") return topic;
    const levels = topic.split("/");
    if (name === "rest") return levels.slice(this.#levels.length - 1).join("/");
    return levels[this.#plus[Number(name) - 1] ?? -1] ?? "";
  }

  /** `template` with its parts filled in. */
  fill(template: string, topic: string): string {
    return template.replaceAll(/\{([^{}]*)\}/g, (_whole, name: string) => this.part(name, topic));
  }
}
