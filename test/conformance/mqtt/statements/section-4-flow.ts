import type { Statement } from "../statement.ts";

export const SECTION_4_FLOW: readonly Statement[] = [];
