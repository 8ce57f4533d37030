import type { Statement } from "../statement.ts";

export const SECTION_4: readonly Statement[] = [];
