import type { Statement } from "../statement.ts";

export const SECTION_3_9: readonly Statement[] = [];
